import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const eventRoutes = new Hono<AppEnv>();
