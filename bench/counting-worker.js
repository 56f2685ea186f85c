// The built Worker with every billed operation counted, for `npm run bench`. Nothing in the product knows of it.
//
// All objects and handlers of one local Worker share one isolate, so the counters below see everything. Rows written are
// what SQLite itself reports, so rows of indexes and deletes are in them; an alarm set counts as one row, as it is billed.
import * as worker from "./index.js";

const counts = {
  worker_requests: 0,
  object_requests: 0,
  object_rows_written: 0,
  object_rows_read: 0,
  alarms_set: 0,
  alarms_run: 0,
  d1_rows_written: 0,
  d1_rows_read: 0,
  queue_messages: 0,
  queue_operations: 0,
  queue_batches: 0,
  by_method: {},
};

/** Each started 64 KB of a message is one operation, and each is written, read and deleted. */
const QUEUE_CHUNK_BYTES = 64_000;
const OPERATIONS_PER_CHUNK = 3;

function tally(name, by = 1) {
  counts.by_method[name] = (counts.by_method[name] ?? 0) + by;
}

// ── Durable Object storage ───────────────────────────────────────────────────
let patched = false;
let open = [];

/** Cursors report their rows when they have been read; they are asked after the code at hand has finished. */
function settle() {
  const cursors = open;
  open = [];
  for (const cursor of cursors) {
    counts.object_rows_written += cursor.rowsWritten;
    counts.object_rows_read += cursor.rowsRead;
  }
}

function patchStorage(storage) {
  if (patched) return;
  patched = true;
  const sql = Object.getPrototypeOf(storage.sql);
  const { exec } = sql;
  sql.exec = function (...args) {
    const cursor = exec.apply(this, args);
    if (open.length === 0) queueMicrotask(settle);
    open.push(cursor);
    return cursor;
  };
  const methods = Object.getPrototypeOf(storage);
  const { setAlarm, put, delete: remove } = methods;
  methods.setAlarm = function (...args) {
    counts.alarms_set++;
    return setAlarm.apply(this, args);
  };
  methods.put = function (...args) {
    counts.object_rows_written += typeof args[0] === "string" ? 1 : Object.keys(args[0]).length;
    return put.apply(this, args);
  };
  methods.delete = function (...args) {
    counts.object_rows_written += Array.isArray(args[0]) ? args[0].length : 1;
    return remove.apply(this, args);
  };
}

function counted(Base) {
  return class extends Base {
    constructor(ctx, env) {
      patchStorage(ctx.storage);
      super(ctx, countEnv(env));
    }
    async alarm(...args) {
      counts.alarms_run++;
      counts.object_requests++;
      tally(`${Base.name}.alarm`);
      return super.alarm?.(...args);
    }
  };
}

// ── Bindings ─────────────────────────────────────────────────────────────────
function countEnv(env) {
  return Object.fromEntries(Object.entries(env).map(([name, binding]) => [name, countBinding(name, binding)]));
}

function countBinding(name, binding) {
  if (typeof binding !== "object" || binding === null) return binding;
  if (typeof binding.getByName === "function") return countNamespace(name, binding);
  if (typeof binding.sendBatch === "function") return countQueue(name, binding);
  if (typeof binding.prepare === "function") return countDatabase(binding);
  return binding;
}

function countNamespace(name, namespace) {
  const stubOf = (stub) =>
    new Proxy(stub, {
      get(target, method) {
        const member = target[method];
        if (typeof member !== "function" || method === "then") return member;
        return (...args) => {
          counts.object_requests++;
          tally(`${name}.${String(method)}`);
          return target[method](...args);
        };
      },
    });
  return new Proxy(namespace, {
    get(target, method) {
      const member = target[method];
      if (method === "getByName" || method === "get") return (...args) => stubOf(member.apply(target, args));
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

function sizeOf(body) {
  if (typeof body === "string") return body.length;
  if (body instanceof Uint8Array || body instanceof ArrayBuffer) return body.byteLength;
  if (typeof body !== "object" || body === null) return 8;
  return Object.entries(body).reduce((sum, [key, value]) => sum + key.length + sizeOf(value), 16);
}

function countQueue(name, queue) {
  const add = (body) => {
    const operations = OPERATIONS_PER_CHUNK * Math.max(1, Math.ceil((sizeOf(body) + 100) / QUEUE_CHUNK_BYTES));
    counts.queue_messages++;
    counts.queue_operations += operations;
    tally(`${name}.message`);
  };
  return {
    send(body, options) {
      add(body);
      return queue.send(body, options);
    },
    sendBatch(messages, options) {
      const all = [...messages];
      for (const { body } of all) add(body);
      return queue.sendBatch(all, options);
    },
    metrics: (...args) => queue.metrics(...args),
  };
}

const original = Symbol("statement");

function addRows(result) {
  counts.d1_rows_written += result?.meta?.rows_written ?? 0;
  counts.d1_rows_read += result?.meta?.rows_read ?? 0;
  tally("D1.statement");
  return result;
}

function countDatabase(database) {
  const wrap = (statement) => ({
    [original]: statement,
    bind: (...values) => wrap(statement.bind(...values)),
    run: async () => addRows(await statement.run()),
    all: async () => addRows(await statement.all()),
    // `first` and `raw` hide what they cost, so they are made from `all`.
    first: async (column) => {
      const row = addRows(await statement.all()).results[0];
      if (row === undefined) return null;
      return column === undefined ? row : row[column];
    },
    raw: async () => addRows(await statement.all()).results.map((row) => Object.values(row)),
  });
  return {
    prepare: (text) => wrap(database.prepare(text)),
    batch: async (statements) => (await database.batch(statements.map((one) => one[original]))).map(addRows),
    exec: (text) => database.exec(text),
    withSession: (...args) => countDatabase(database.withSession(...args)),
  };
}

// ── The Worker ───────────────────────────────────────────────────────────────
let countedEnv;

export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/__bench/counts") {
      settle();
      return Response.json(counts);
    }
    counts.worker_requests++;
    return worker.default.fetch(request, (countedEnv ??= countEnv(env)), ctx);
  },
  queue(batch, env, ctx) {
    counts.queue_batches++;
    return worker.default.queue(batch, (countedEnv ??= countEnv(env)), ctx);
  },
};

export const RateController = counted(worker.RateController);
export const CapacityController = counted(worker.CapacityController);
export const WindowAggregator = counted(worker.WindowAggregator);
export const AlertManager = counted(worker.AlertManager);
export const LiveHub = counted(worker.LiveHub);
