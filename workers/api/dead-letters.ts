import { Hono } from "hono";
import type { AppEnv } from "../http.ts";

export const deadLetterRoutes = new Hono<AppEnv>();
