import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const ingestRoutes = new Hono<AppEnv>();
