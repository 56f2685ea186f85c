/** Alerts as notifications of this browser: a service worker that shows them, and a push channel that reaches it. */
import { fields, text } from "../live/decode.ts";
import { ask } from "./session.ts";

const WORKER = "/push-worker.js";

/** Why this browser cannot be notified, in words; null when it can. */
export function pushObstacle(): string | null {
  if (!window.isSecureContext) return "Browsers take notifications only over HTTPS or from this machine.";
  if (!("serviceWorker" in navigator) || !("PushManager" in window)) return "This browser has no Web Push.";
  if (Notification.permission === "denied") return "Notifications of this site are blocked in the browser's settings.";
  return null;
}

/**
 * Subscribes this browser and makes a channel of it.
 * @throws ApiFailure, or Error in words when the browser or its user refused
 */
export async function notifyThisBrowser(name: string): Promise<void> {
  if ((await Notification.requestPermission()) !== "granted") throw new Error("Notifications were not allowed.");
  const worker = await startPushWorker();
  const key = text(fields(await ask({ method: "GET", path: "/api/v1/channels/push-key" }))?.["public_key"]);
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  await ask({ method: "POST", path: "/api/v1/channels", body: { name, type: "push", config: subscription.toJSON() } });
}

/** Registers the worker and waits until it runs. */
async function startPushWorker(): Promise<ServiceWorkerRegistration> {
  await navigator.serviceWorker.register(scriptUrl(), { scope: "/" });
  return await navigator.serviceWorker.ready;
}

/** Under Trusted Types an address of code must come from a policy; this one knows a single address. */
function scriptUrl(): string {
  const types: unknown = Reflect.get(window, "trustedTypes");
  if (!isPolicyMaker(types)) return WORKER;
  return types.createPolicy("push-worker", { createScriptURL: () => WORKER }).createScriptURL("");
}

interface PolicyMaker {
  createPolicy(name: string, rules: { createScriptURL(): string }): { createScriptURL(input: string): string };
}

function isPolicyMaker(value: unknown): value is PolicyMaker {
  return typeof value === "object" && value !== null && "createPolicy" in value;
}
