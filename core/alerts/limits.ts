/** Rules a tenant may have. Each is evaluated once per group of every closed window of its aggregation. */
export const MAX_RULES = 200;
/** Channels a tenant may have; their targets are held decrypted in the alert manager's memory. */
export const MAX_CHANNELS = 50;
/** Channels one rule may name: each alert costs this many notifications when it fires and again when it resolves. */
export const MAX_CHANNELS_PER_RULE = 10;
/** Pending and firing alerts of one rule. Groups beyond it do not open an alert; the rule says how many were refused. */
export const MAX_OPEN_PER_RULE = 10_000;
/** Pending and firing alerts of one tenant, about 2 KB each at worst: they are held in memory. */
export const MAX_OPEN_PER_TENANT = 20_000;
/** A group whose key is longer is not evaluated, only counted: keys are held in memory and sent to people. */
export const MAX_GROUP_KEY_CHARS = 1_000;
/** JSON text of the values that an alert shows; measures that do not fit are left out, the others stay. */
export const MAX_SHOWN_VALUES_CHARS = 1_000;
/** Groups of one window whose values are kept for `previous`; for groups beyond it `previous` is missing. */
export const MAX_PREVIOUS_GROUPS = 20_000;
/** Resolved alerts kept per tenant; the oldest go first, with their history. */
export const MAX_RESOLVED_ALERTS = 10_000;
/** Delivery attempts kept per alert; the oldest go first. */
export const MAX_DELIVERIES_PER_ALERT = 100;
/** Notifications waiting for their delivery. When it is reached, closed windows are refused until it drains, so none is lost. */
export const MAX_OUTBOX = 100_000;
/** Labels, and annotations, of one rule. */
export const MAX_LABELS = 32;
