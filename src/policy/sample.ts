/**
 * A share of the requests (--sample). A fixed hash decides whether a key is in the share, so it is the same on every
 * server and after every restart; a larger share has all keys of a smaller one.
 */
import type { HeadView } from "../http/head-view.ts";
import type { Client } from "./client.ts";
import { Unreadable, whyNoName } from "../unreadable.ts";

/** `PERCENT[:KEY]`. */
export interface Sample {
  readonly percent: number;
  readonly key: "random" | "client" | "connection" | "header" | "cookie";
  /** The name of a header field, in lower case, or of a cookie. */
  readonly name: string;
}

const HASHES = 2 ** 32;
const CHAR_BYTES = 4;

export function readSample(text: string): Sample | Unreadable {
  const [, number, key] = /^(\d{1,3}(?:\.\d{1,6})?)%?(?::(.*))?$/s.exec(text) ?? [];
  if (number === undefined) return new Unreadable("a percentage, as 10% or 0.5%, is expected", 0);
  const percent = Number(number);
  if (percent <= 0 || percent > 100) return new Unreadable("a percentage above 0 and up to 100 is expected", 0);
  if (key === undefined) return { percent, key: "random", name: "" };
  if (key === "client" || key === "connection") return { percent, key, name: "" };
  const at = text.indexOf(":") + 1;
  const [, kind, name] = /^(header|cookie)=(.*)$/s.exec(key) ?? [];
  if (kind === undefined) return new Unreadable("client, connection, header=NAME or cookie=NAME is expected", at);
  const why = whyNoName(name!);
  if (why !== null) return why.behind(at + kind.length + 1);
  return kind === "header"
    ? { percent, key: "header", name: name!.toLowerCase() }
    : { percent, key: "cookie", name: name! };
}

export class Sampler {
  /** Hashes below it are in the share. */
  private readonly limit: number;

  /** `random`: returns numbers from 0 to 1, without 1. */
  constructor(
    private readonly sample: Sample,
    private readonly random: () => number,
  ) {
    this.limit = (sample.percent / 100) * HASHES;
  }

  /** Whether a request is in the share. `head` null: it is a stream, and its requests cannot be seen. */
  takes(head: HeadView | null, client: Client): boolean {
    const { key } = this.sample;
    if (key === "random") return this.random() * HASHES < this.limit;
    if (key === "connection") return keyHash(client.connectionKey) < this.limit;
    const own = key === "client" || head === null ? "" : this.keyOf(head);
    return keyHash(own === "" ? client.address : own) < this.limit;
  }

  /** The request's key; empty: it has none. */
  private keyOf(head: HeadView): string {
    const { key, name } = this.sample;
    if (key === "header") return head.values(name)[0] ?? "";
    for (const field of head.values("cookie")) {
      for (const pair of field.split(";")) {
        const equals = pair.indexOf("=");
        if (equals >= 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
      }
    }
    return "";
  }
}

/**
 * A key's hash of 32 bits, which never changes: MurmurHash3 of its characters, four bytes (little-endian) each, with
 * seed 0. https://github.com/aappleby/smhasher/wiki/MurmurHash3
 */
export function keyHash(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) {
    let block = Math.imul(key.charCodeAt(i), 0xcc9e2d51);
    block = Math.imul((block << 15) | (block >>> 17), 0x1b873593);
    hash ^= block;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash ^= key.length * CHAR_BYTES;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
