/** The share that --sample takes equals the requested share, and by a key it is the same everywhere. */
import { describe, expect, test } from "bun:test";
import { addressGroups } from "../../src/http/client-address.ts";
import { HeadView } from "../../src/http/head-view.ts";
import { Client } from "../../src/policy/client.ts";
import { keyHash, readSample, type Sample, Sampler } from "../../src/policy/sample.ts";
import { Unreadable } from "../../src/unreadable.ts";
import { Random } from "../support/random.ts";

const sampleOf = (text: string) => readSample(text) as Sample;
const head = (...fields: string[]) => new HeadView(["GET / HTTP/1.1", ...fields, "", ""].join("\r\n"));
const identity = (client: string, port = 1) => {
  const groups = addressGroups(client, 4)!;
  const words = Array.from({ length: 4 }, (_, i) => (groups[2 * i]! << 16) | groups[2 * i + 1]!);
  return Int32Array.of(...words, 0, 0, 0xffff, 7, (port << 16) | 80, 42);
};
const client = (address: string, port = 1) => new Client(identity(address, port));
const never = (): number => {
  throw new Error("a share by key is not random");
};

/** The largest deviation of a share by chance, once in ten thousand times: four standard deviations. */
const tolerance = (count: number, share: number) => 4 * Math.sqrt(count * share * (1 - share));

const COUNT = 4000;
const keyed: [sample: string, request: (i: number) => [HeadView, Client]][] = [
  ["client", (i) => [head(), client(`10.${i >> 16}.${(i >> 8) & 0xff}.${i & 0xff}`)]],
  ["connection", (i) => [head(), client("10.0.0.1", i)]],
  ["header=X-User", (i) => [head(`x-user: ${i}`), client("10.0.0.1")]],
  ["header=x-user", (i) => [head(`X-User: user-${i}@example.org`), client("10.0.0.1")]],
  ["cookie=id", (i) => [head(`Cookie: a=b; id=${i * 1000}`), client("10.0.0.1")]],
];
describe.each(keyed)("--sample by %s", (key, request) => {
  test.each([0.5, 10, 33.3, 90, 100])("takes %p %% of many keys", (percent) => {
    const sampler = new Sampler(sampleOf(`${percent}%:${key}`), never);
    let taken = 0;
    for (let i = 0; i < COUNT; i++) if (sampler.takes(...request(i))) taken++;
    expect(Math.abs(taken - (COUNT * percent) / 100)).toBeLessThanOrEqual(tolerance(COUNT, percent / 100));
  });

  test("takes the same keys on every server, and a larger share includes all keys of a smaller one", () => {
    const [one, other, larger] = ["20%", "20", "30%"].map((share) => new Sampler(sampleOf(`${share}:${key}`), never));
    const takenBy = (sampler: Sampler) => Array.from({ length: 1000 }, (_, i) => sampler.takes(...request(i)));
    const taken = takenBy(one!);
    expect(takenBy(other!)).toEqual(taken);
    const more = takenBy(larger!);
    expect(taken.every((isTaken, i) => !isTaken || more[i])).toBe(true);
  });
});

test("with few keys each is in or out, and the average over many such groups is the share", () => {
  const sampler = new Sampler(sampleOf("25%:client"), never);
  let taken = 0;
  const trials = 1000;
  for (let i = 0; i < trials; i++)
    for (let j = 1; j <= 3; j++) if (sampler.takes(head(), client(`10.${i >> 8}.${i & 0xff}.${j}`))) taken++;
  expect(Math.abs(taken / (3 * trials) - 0.25)).toBeLessThan(tolerance(3 * trials, 0.25) / (3 * trials));
});

test("at random it takes a share of the requests, of all clients", () => {
  for (const percent of [0.5, 10, 50, 100]) {
    const random = new Random(percent);
    const sampler = new Sampler(sampleOf(`${percent}%`), () => random.next());
    let taken = 0;
    for (let i = 0; i < COUNT; i++) if (sampler.takes(head(), client("10.0.0.1"))) taken++;
    expect(Math.abs(taken - (COUNT * percent) / 100)).toBeLessThanOrEqual(tolerance(COUNT, percent / 100));
  }
});

const withoutKey: [key: string, head: HeadView | null][] = [
  ["header=X-User", head()],
  ["header=X-User", head("X-User:  ")],
  ["cookie=id", head()],
  ["cookie=id", head("Cookie: a=b; ID=7; id=")],
  ["cookie=id", head("Cookie: id")],
  ["header=X-User", null],
  ["cookie=id", null],
];
test.each(withoutKey)("a request without %s counts as its client", (key, request) => {
  const [own, clients] = [`50%:${key}`, "50%:client"].map((text) => new Sampler(sampleOf(text), never));
  for (let i = 0; i < 100; i++) {
    const from = client(`10.0.0.${i}`);
    expect(own!.takes(request, from)).toBe(clients!.takes(head(), from));
  }
});

const sameKey: [key: string, one: string, other: string][] = [
  ["header=X-User", "X-User: a", "x-user:a\t"],
  ["header=X-User", "X-User: a", "X-User:\r\n a"],
  ["cookie=id", "Cookie: id=a", "Cookie: x=y;id=a ; id=b"],
  ["cookie=id", "Cookie: id=a", "Cookie: x=y\r\nCookie: id=a"],
];
test.each(sameKey)("by %s, %j and %j are one key", (key, one, other) => {
  // With a share for every hash, equal decisions for all shares mean equal hashes.
  for (let percent = 1; percent < 100; percent++) {
    const sampler = new Sampler(sampleOf(`${percent}%:${key}`), never);
    expect(sampler.takes(head(one), client("10.0.0.1"))).toBe(sampler.takes(head(other), client("10.0.0.2")));
  }
});

test("the hash is MurmurHash3, so all servers and all versions agree", () => {
  const random = new Random(1);
  for (let i = 0; i < 1000; i++) {
    const codes = [...random.bytes(random.int(0, 20))];
    const bytes = Buffer.from(Uint32Array.from(codes).buffer);
    expect(keyHash(String.fromCharCode(...codes))).toBe(Bun.hash.murmur32v3(bytes, 0));
  }
});

const readable: [text: string, want: Sample][] = [
  ["10%", { percent: 10, key: "random", name: "" }],
  ["10", { percent: 10, key: "random", name: "" }],
  ["0.5%:client", { percent: 0.5, key: "client", name: "" }],
  ["100:connection", { percent: 100, key: "connection", name: "" }],
  ["1%:header=X-User", { percent: 1, key: "header", name: "x-user" }],
  ["1%:cookie=Id", { percent: 1, key: "cookie", name: "Id" }],
];
test.each(readable)("%s is read", (text, want) => expect(readSample(text)).toEqual(want));

const unreadable: [text: string, at: number][] = [
  ["", 0],
  ["%", 0],
  ["0%", 0],
  ["101%", 0],
  ["-1%", 0],
  ["1e1%", 0],
  ["10%client", 0],
  ["10%:", 4],
  ["10%:server", 4],
  ["10%:header", 4],
  ["10%:header=", 11],
  ["10%:cookie=a b", 12],
  ["10%:header=*", 11],
];
test.each(unreadable)("%j cannot be read, and is marked at %d", (text, at) => {
  const sample = readSample(text);
  expect(sample).toBeInstanceOf(Unreadable);
  expect((sample as Unreadable).at).toBe(at);
});
