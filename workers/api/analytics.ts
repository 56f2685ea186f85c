import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const analyticsRoutes = new Hono<AppEnv>();
