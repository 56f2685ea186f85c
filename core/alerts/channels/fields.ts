// Fields that several channels' configurations share.
import { z } from "zod";

export const MAX_URL_CHARS = 2_000;

/** Any URL. Whether it may be called is the guard's business. */
export const urlField = z.string().min(1).max(MAX_URL_CHARS);

/** Where a provider's API is instead of at its own address: for tests, in local mode only. */
export const apiUrlField = z
  .string()
  .max(MAX_URL_CHARS)
  .regex(/^https?:\/\/[^/?#\s]+$/, "must be http:// or https:// and a host, without a path")
  .optional();

/** Private targets are called when this is true, in local mode only. */
export const allowPrivateField = z.boolean().optional();
