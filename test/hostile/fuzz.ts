/**
 * The attacks one after the other, and the outcome of each.
 *
 *     scripts/fuzz --hostile [OPTION…] [NAME…]
 *       --seconds N             for each attack; requests that have not come by then are reported (120)
 *       --max-buffer-mib N,…    each attack with each of these (64)
 *       --way live|read         on an interface, or from a savefile (both)
 *       --scale X               of each attack's frames (1)
 *       --executable PATH       another build of the program, to be compared
 *
 * Exits with 1 if a requirement is not met. The cost of a frame is shown and judged, because nothing else should run on
 * the machine meanwhile; tests leave it out.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { END_MS_MAX, type Report, WAYS } from "./attack.ts";
import { ALL, attackApart } from "./outside.ts";

/** The largest cost of a frame of a flood, or of each request in it, relative to an ordinary frame. */
const RATIO_MAX = 3;
const COLUMNS = [
  "attack",
  "way",
  "MiB",
  "peak",
  "limit",
  "µs",
  "ordinary",
  "ratio",
  "fds",
  "good",
  "end",
  "what is not so",
];
const WIDTHS = [26, 5, 5, 6, 6, 7, 8, 6, 7, 12, 7, 0];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    hostile: { type: "boolean" },
    seconds: { type: "string", default: "120" },
    "max-buffer-mib": { type: "string", default: "64" },
    way: { type: "string" },
    scale: { type: "string", default: "1" },
    executable: { type: "string" },
  },
});
const unknown = positionals.filter((name) => !ALL.some((one) => one.name === name));
if (unknown.length > 0 || !(Number(values.seconds) > 0) || !(Number(values.scale) > 0)) {
  console.error("Usage: scripts/fuzz --hostile [OPTION…] [NAME…]   (options: test/hostile/fuzz.ts)\n");
  for (const { name, what } of ALL) console.error(`  ${name.padEnd(WIDTHS[0]!)} ${what}`);
  process.exit(2);
}

/** The requirements that are not met. */
function faults({
  peakBytes,
  limitBytes,
  ordinaryUs,
  floodUs,
  requestsPerFrame,
  good,
  arrived,
  twice,
  endMs,
  status,
  broken,
}: Report): string[] {
  const found = [...broken];
  if (peakBytes > limitBytes) found.push("memory");
  if (ordinaryUs !== null && floodUs !== null && floodUs > ordinaryUs * RATIO_MAX * requestsPerFrame)
    found.push("time");
  if (arrived < good) found.push("good requests");
  if (twice > 0) found.push(`${twice} good requests came twice`);
  if (endMs > END_MS_MAX) found.push("end");
  if (status !== 0) found.push(status === null ? "killed" : `exit status ${status}`);
  return found;
}

const line = (cells: string[]) =>
  cells
    .map((cell, i) => (i < 2 || WIDTHS[i] === 0 ? cell.padEnd(WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)))
    .join(" ")
    .trimEnd();
const megabytes = (count: number) => String(Math.round(count / 1e6));

function row(report: Report): string[] {
  const {
    name,
    way,
    maxBufferMib,
    peakBytes,
    limitBytes,
    ordinaryUs,
    floodUs,
    descriptors,
    good,
    arrived,
    endMs,
    notes,
    kernelDropped,
  } = report;
  const ratio = ordinaryUs === null || floodUs === null ? "" : (floodUs / ordinaryUs).toFixed(2);
  const told = [
    ...faults(report),
    ...(kernelDropped > 0 ? [`(kernel dropped ${kernelDropped})`] : []),
    ...notes.map((note) => `(${note})`),
  ];
  return [
    name,
    way,
    String(maxBufferMib),
    megabytes(peakBytes),
    megabytes(limitBytes),
    floodUs?.toFixed(2) ?? "",
    ordinaryUs?.toFixed(2) ?? "",
    ratio,
    String(descriptors),
    `${arrived}/${good}`,
    (endMs / 1000).toFixed(2),
    told.join(", "),
  ];
}

console.log(line(COLUMNS));
let failed = 0;
for (const { name, way: only } of ALL) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  for (const way of WAYS) {
    if ((only ?? way) !== way || (values.way ?? way) !== way) continue;
    for (const mib of values["max-buffer-mib"].split(",")) {
      const report = await attackApart(name, {
        way,
        maxBufferMib: Number(mib),
        scale: Number(values.scale),
        seconds: Number(values.seconds),
        ...(values.executable !== undefined && { executable: resolve(values.executable) }),
      });
      if (faults(report).length > 0) failed++;
      console.log(line(row(report)));
    }
  }
}
process.exit(failed === 0 ? 0 : 1);
