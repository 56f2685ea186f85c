import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const keyRoutes = new Hono<AppEnv>();
