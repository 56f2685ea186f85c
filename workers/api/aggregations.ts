import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const aggregationRoutes = new Hono<AppEnv>();
