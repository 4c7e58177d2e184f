/**
 * The allowed imports between the rooms of src: imports point in one direction along the path of a packet, also imports
 * of types.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const SOURCES = join(import.meta.dir, "../src");

/**
 * For each room, its allowed imports beside its own files: a room, or single files of a room. `.` stands for the files
 * that are in no room, except main.ts and config.ts.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  ".": [],
  memory: [],
  capture: ["."],
  decode: ["memory"],
  filter: ["decode"],
  flow: ["memory", "decode"],
  http: [],
  policy: ["http", "unreadable.ts"],
  redact: ["unreadable.ts"],
  forward: [".", "memory", "flow", "http", "policy"],
  files: [".", "http", "redact", "forward/socket.ts", "forward/exchange.ts", "compare/content.ts"],
  compare: ["unreadable.ts", "memory", "flow/sequence.ts", "flow/stream.ts", "http", "forward/exchange.ts", "redact"],
  observe: [
    ".",
    "capture/paced-source.ts",
    "capture/recorder.ts",
    "decode/counters.ts",
    "decode/drop-reason.ts",
    "decode/strangers.ts",
    "decode/tunnel.ts",
    "flow/counters.ts",
    "forward/counters.ts",
    "files/counters.ts",
    "compare/tally.ts",
  ],
  "config.ts": [".", "decode/tunnel.ts", "policy/policy.ts", "compare/ignore.ts", "redact/rules.ts", "observe/log.ts"],
  shard: [
    ".",
    "config.ts",
    "memory",
    "capture",
    "decode",
    "filter",
    "flow",
    "policy",
    "forward",
    "compare",
    "files",
    "redact",
    "observe/counters.ts",
    "observe/gauges.ts",
  ],
  admin: [".", "config.ts", "observe"],
  run: [".", "config.ts", "admin", "memory", "capture", "decode", "filter", "forward", "compare", "shard", "observe"],
  cli: [
    ".",
    "config.ts",
    "compare/ignore.ts",
    "redact/rules.ts",
    "decode/tunnel.ts",
    "policy",
    "observe/log.ts",
    "run/run.ts",
    "shard/shards.ts",
    "cli/probe.ts",
  ],
  "cli/probe.ts": ["."],
  "main.ts": ["cli"],
};

/** Rooms that only compute, and take time as an argument. */
const PURE = ["decode", "filter", "flow", "http", "policy", "compare", "redact"];

/** Patterns that may occur only in these rooms. */
const ALONE: [what: string, pattern: RegExp, rooms: string[]][] = [
  ["calls native code", /"bun:ffi"/, ["capture"]],
  [
    "opens client sockets",
    /\bBun\.connect\b|(?:await|return|=) fetch\(|"node:(tls|http|https|http2)"/,
    ["capture", "forward", "cli/probe.ts"],
  ],
  ["listens", /\bBun\.(serve|listen|udpSocket)\b|\bcreateServer\(/, ["admin"]],
];

const files = [...new Bun.Glob("**/*.ts").scanSync(SOURCES)].filter((file) => !file.endsWith(".d.ts")).toSorted();
const textOf = (file: string) => readFileSync(join(SOURCES, file), "utf8");
/** The key of a file's rule: its room, or the file itself. */
const roomOf = (file: string) => {
  if (Object.hasOwn(MAY_IMPORT, file)) return file;
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : ".";
};

/** The files of src that a file names: imports of values and of types, and the entry points of threads. */
function importsOf(file: string): string[] {
  const named = [...textOf(file).matchAll(/(?:\bfrom |\bimport |\bimport\(|\bnew URL\()"(\.[^"]*\.ts)"/g)];
  return named.map(([, path]) => normalize(join(dirname(file), path!)));
}

describe.each(files)("src/%s", (file) => {
  const room = roomOf(file);

  test("imports only what its room may know", () => {
    const allowed = MAY_IMPORT[room];
    if (allowed === undefined) throw new Error(`there is no rule for the room ${room}`);
    // The main file starts a thread's entry point, but uses nothing of it.
    const others = importsOf(file).filter((name) => roomOf(name) !== room && name !== "shard/worker.ts");
    expect(others.filter((name) => !allowed.includes(name) && !allowed.includes(roomOf(name)))).toEqual([]);
  });

  test.each(ALONE)("%s only in its room", (_what, pattern, rooms) => {
    if (!rooms.includes(room)) expect(pattern.exec(textOf(file))?.[0]).toBeUndefined();
  });
});

/** endianness(), decompression and hashes only compute. */
const IMPURE =
  /\bBun\.(?!SHA256\b)|"node:(?!os"|zlib")|"bun\b|\bDate\.now|\bperformance\.|\bset(Timeout|Interval)\(|\bconsole\./;

test("src/README.md has a row for every room", () => {
  const rows = [...readFileSync(join(SOURCES, "README.md"), "utf8").matchAll(/^\| `(\w+)` \|/gm)].map(
    ([, room]) => room!,
  );
  expect(rows.toSorted()).toEqual([...new Set(files.map(roomOf))].filter((room) => !/[.]/.test(room)).toSorted());
});

test.each(PURE)("%s does no input or output, and reads no clock", (room) => {
  const own = files.filter((name) => roomOf(name) === room);
  expect(own).not.toEqual([]);
  for (const file of own) expect([file, IMPURE.exec(textOf(file))?.[0]]).toEqual([file, undefined]);
});

test("no file imports itself indirectly", () => {
  const done = new Set<string>();
  const walk = (file: string, path: string[]): void => {
    if (path.includes(file)) throw new Error([...path.slice(path.indexOf(file)), file].join(" → "));
    if (done.has(file)) return;
    for (const next of importsOf(file)) {
      walk(next, [...path, file]);
    }
    done.add(file);
  };
  for (const file of files) walk(file, []);
  expect(done.size).toBe(files.length);
});
