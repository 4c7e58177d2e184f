/**
 * The messages of clients, production and the endpoint in scripts/planted --lab: they are made before the run, in
 * shared files, so that they cost nearly nothing in the run.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeTalks } from "../../test/compare/world.ts";
import { Random } from "../../test/support/random.ts";
import { countPlants, PLANT_NAMES, type Planted } from "./found.ts";

/** Requests on one connection. */
const TALKS_MAX = 200;
const CONNECTIONS = "connections";
const CLOSES = "closes";

/** Messages behind each other, by the numbers of their talks. */
export class Messages {
  private constructor(
    private readonly bytes: Uint8Array,
    private readonly ends: Float64Array,
  ) {}

  static open(directory: string, name: "request" | "production" | "endpoint"): Messages {
    const ends = readFileSync(join(directory, `${name}-ends`));
    return new Messages(
      Bun.mmap(join(directory, name)),
      new Float64Array(ends.buffer, ends.byteOffset, ends.length / 8),
    );
  }

  /** Those of `count` talks, from `first` on. */
  of(first: number, count = 1): Uint8Array {
    return this.bytes.subarray(first === 0 ? 0 : this.ends[first - 1]!, this.ends[first + count - 1]!);
  }
}

/** Writes the script of at least so many requests. Returns how many of them have each plant. */
export function writeScript(directory: string, requests: number, seed: number): Planted {
  const random = new Random(seed);
  const writers = {
    request: new Writer(directory, "request"),
    production: new Writer(directory, "production"),
    endpoint: new Writer(directory, "endpoint"),
  };
  const planted = countPlants([]);
  const firsts = [0];
  const closes: number[] = [];
  for (let made = 0; made < requests; firsts.push(made)) {
    const talks = makeTalks(random, made, random.int(1, TALKS_MAX));
    writers.request.add(talks.map(({ request }) => Buffer.from(request)));
    writers.production.add(talks.map(({ production }) => production));
    writers.endpoint.add(talks.map(({ endpoint }) => endpoint));
    closes.push(...talks.map((talk) => Number(talk.closes)));
    const own = countPlants(talks);
    for (const plant of PLANT_NAMES) planted[plant] += own[plant];
    made += talks.length;
  }
  for (const writer of Object.values(writers)) writer.end();
  writeFileSync(join(directory, CONNECTIONS), Uint32Array.from(firsts));
  writeFileSync(join(directory, CLOSES), Uint8Array.from(closes));
  return planted;
}

/** The first talk of each connection; the last is behind all. */
export function readConnections(directory: string): Uint32Array {
  const { buffer, byteOffset, length } = readFileSync(join(directory, CONNECTIONS));
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** Of each talk, whether production ends the connection behind its response: 1. */
export function readCloses(directory: string): Uint8Array {
  return readFileSync(join(directory, CLOSES));
}

class Writer {
  private readonly file: number;
  private readonly ends: number[] = [];
  private written = 0;

  constructor(
    private readonly directory: string,
    private readonly name: string,
  ) {
    this.file = openSync(join(directory, name), "w");
  }

  add(messages: readonly Uint8Array[]): void {
    for (const { length } of messages) this.ends.push((this.written += length));
    writeSync(this.file, Buffer.concat(messages));
  }

  end(): void {
    closeSync(this.file);
    writeFileSync(join(this.directory, `${this.name}-ends`), Float64Array.from(this.ends));
  }
}
