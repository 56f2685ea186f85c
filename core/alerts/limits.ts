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
/** Earlier windows that one condition may read: each is looked up for every window that closes. */
export const MAX_LOOK_BACKS = 4;
/** Groups of one aggregation that are remembered for `no_data`; of those that went quiet the first are forgotten first. */
export const MAX_SEEN_GROUPS = 20_000;
/** Groups of one rule whose alert somebody resolved by hand and that may not open again in the same window. */
export const MAX_SETTLED_PER_RULE = 1_000;
/** Resolved alerts kept per tenant; the oldest go first, with their history. */
export const MAX_RESOLVED_ALERTS = 10_000;
/** Delivery attempts kept per alert; the oldest go first. */
export const MAX_DELIVERIES_PER_ALERT = 100;
/** Notifications waiting for their delivery. When it is reached, closed windows are refused until it drains, so none is lost. */
export const MAX_OUTBOX = 100_000;
/** Labels, and annotations, of one rule. */
export const MAX_LABELS = 32;
/** Inhibitions of one rule, and matchers of one silence or inhibition: each is tried on every alert that fires. */
export const MAX_INHIBITIONS = 8;
export const MAX_MATCHERS = 16;
/** Silences of one tenant that have not expired. */
export const MAX_SILENCES = 200;
/** Mute times of one rule. */
export const MAX_MUTE_TIMES = 16;
/** Alerts that one bundled notification lists; the others are counted. */
export const MAX_ALERTS_PER_BUNDLE = 50;
/** Notes kept per alert in its history; a flapping silence could otherwise write without end. The first and the newest stay. */
export const MAX_HISTORY = 200;
