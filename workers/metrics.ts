/** One Prometheus metric with its samples. `name` and label names must match `[a-zA-Z_][a-zA-Z0-9_]*`. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly MetricSample[];
}

/** One value of a metric, with its labels. */
export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A figure that each thing of a kind has; null where it has none at the moment. */
export type Figure<Thing> = readonly [
  name: string,
  type: MetricFamily["type"],
  help: string,
  value: (one: Thing) => number | null,
];

/** Figures as metric families named `streamflow_<kind>_…`, with a sample for each thing that has them. */
export function figureMetrics<Thing>(
  kind: string,
  figures: readonly Figure<Thing>[],
  things: readonly Thing[],
  nameOf: (one: Thing) => string,
): MetricFamily[] {
  return figures.map(([name, type, help, value]) => ({
    name: `streamflow_${kind}_${name}`,
    help,
    type,
    samples: things.flatMap((one) => {
      const figure = value(one);
      return figure === null ? [] : [{ labels: { [kind]: nameOf(one) }, value: figure }];
    }),
  }));
}

/** Epoch ms or a length in ms as Prometheus wants it. */
export function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

/** The content type that goes with `renderMetrics`. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Prometheus text of the families, in order; one without samples is left out.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4)
 */
export function renderMetrics(families: readonly MetricFamily[]): string {
  return families
    .filter((family) => family.samples.length > 0)
    .map(renderFamily)
    .join("");
}

function renderFamily(family: MetricFamily): string {
  const help = family.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  const lines = family.samples.map(
    (sample) => `${family.name}${renderLabels(sample.labels)} ${renderValue(sample.value)}\n`,
  );
  return `# HELP ${family.name} ${help}\n# TYPE ${family.name} ${family.type}\n${lines.join("")}`;
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function renderValue(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}

/** Series kept at most per isolate; a request that would start another is counted in no series. Only names of our own routes are labels, so tenants are what multiplies them. */
const MAX_SERIES = 5_000;

interface RequestSeries {
  readonly tenant: string;
  readonly labels: { readonly method: string; readonly path: string; readonly status: string };
  count: number;
  milliseconds: number;
}

const series = new Map<string, RequestSeries>();
/** Tells one isolate's counters from another's: Prometheus would read their mixture as resets. Made at the first request, where randomness is allowed. */
let isolate: string | null = null;

/** Counts one answered request. `path` is the route's pattern, `tenant` is empty for requests without a credential. */
export function countRequest(tenant: string, method: string, path: string, status: number, milliseconds: number): void {
  const key = JSON.stringify([tenant, method, path, status]);
  const known = series.get(key);
  if (known !== undefined) {
    known.count += 1;
    known.milliseconds += milliseconds;
  } else if (series.size < MAX_SERIES) {
    series.set(key, { tenant, labels: { method, path, status: String(status) }, count: 1, milliseconds });
  }
}

/** What this isolate has answered to the tenants named, as counters since it started. */
export function requestMetrics(tenants: readonly string[]): MetricFamily[] {
  isolate ??= crypto.randomUUID().slice(0, 8);
  const own = [...series.values()].filter((one) => tenants.includes(one.tenant));
  const labelled = own.map((one) => ({ one, labels: { ...one.labels, isolate: isolate ?? "" } }));
  return [
    {
      name: "streamflow_http_requests_total",
      help: "Requests answered by this isolate since it started.",
      type: "counter",
      samples: labelled.map(({ one, labels }) => ({ labels, value: one.count })),
    },
    {
      name: "streamflow_http_request_seconds_total",
      help: "Wall time of those requests, in seconds.",
      type: "counter",
      samples: labelled.map(({ one, labels }) => ({ labels, value: one.milliseconds / 1000 })),
    },
  ];
}
