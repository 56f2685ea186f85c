import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const alertRoutes = new Hono<AppEnv>();
