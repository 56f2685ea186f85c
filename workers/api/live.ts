import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const liveRoutes = new Hono<AppEnv>();
