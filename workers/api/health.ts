import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const healthRoutes = new Hono<AppEnv>();
