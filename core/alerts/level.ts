/** How bad an alert is, from harmless to worst. */
export const LEVELS = ["info", "warning", "error", "critical"] as const;
export type Level = (typeof LEVELS)[number];
