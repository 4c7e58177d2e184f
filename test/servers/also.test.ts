/** Further destinations (--also) through the executable: real servers side by side, with faults of one of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { refusingAddress } from "../executable/recording-endpoint.ts";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { pcap } from "../support/frames.ts";
import { Random } from "../support/random.ts";
import { forward, identityFaults, mirrorOf } from "./mirror.ts";
import { type MixedConnection, mixedConnections } from "./mixed.ts";
import { RawEndpoint, stalled } from "./raw-endpoint.ts";
import { available, BUN, nginx, NODE, type RunningServer, type Served, start } from "./real-servers.ts";

const REQUESTS = 300;
const GETS = 40;

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const gets = pcap(
  Array.from({ length: 4 }, (_, connection) =>
    session(
      Array.from({ length: GETS / 4 }, (_, i) => `GET /${connection}-${i} HTTP/1.1\r\nHost: prod.example\r\n\r\n`),
      41_000 + connection,
    ),
  ).flat(),
);
const mine = { savefile: gets, vni: VNI, port: PORT };

describe("three real servers get the same mixed requests", () => {
  const random = new Random(23);
  const connections: MixedConnection[] = mixedConnections(random, REQUESTS);
  const savefile = mirrorOf(connections, random);
  const servers = available([nginx(), NODE, BUN], "further destinations");
  const served: Served[][] = [];
  let counters: any;

  beforeAll(async () => {
    const running: RunningServer[] = [];
    for (const server of servers) running.push(await start(server, directory));
    const [endpoint, ...further] = running.map(({ port }) => `127.0.0.1:${port}`);
    const flags = further.flatMap((address) => ["--also", address]);
    ({ counters } = await forward({ savefile }, endpoint!, directory, flags));
    for (const each of running) served.push(await each.stop());
  }, 60_000);

  test("each serves its requests once, with the same bodies and in their order on each connection", () => {
    const wanted = connections.flatMap(({ requests }) => requests.map(({ id }) => id));
    served.forEach((lines, i) => {
      const isFirst = i === 0;
      // Further destinations may be slower than the savefile is read, because it waits only for the endpoint.
      const { dropped } = isFirst ? counters.requests : counters.destinations[i - 1].requests;
      const left = (Object.values(dropped) as number[]).reduce((sum, count) => sum + count, 0);
      expect(left).toBe(0);
      const ids = lines.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.every((id) => wanted.includes(id))).toBe(true);
      for (const { requests } of connections) {
        const order = requests.map(({ id }) => ids.indexOf(id)).filter((place) => place >= 0);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
    });
    const bodies = served.map((lines) => new Map(lines.map(({ id, digest }) => [id, digest])));
    for (const [id, digest] of bodies[0]!)
      for (const other of bodies) if (other.has(id)) expect(other.get(id)).toBe(digest);
  });

  test("the counters add up for each", () => {
    expect(counters.destinations).toHaveLength(servers.length - 1);
    expect(identityFaults(counters)).toEqual([]);
    for (const each of counters.destinations) {
      expect(identityFaults(each)).toEqual([]);
      expect(each.requests.seen).toBe(counters.requests.seen);
      expect(each.requests.damaged).toBe(counters.requests.damaged);
    }
  });
});

test.concurrent("a destination that is away and a stalled one cost the endpoint nothing, and end with it", async () => {
  using endpoint = await RawEndpoint.listen();
  const still = await stalled();
  const away = refusingAddress();
  const stuck = still.address;
  const flags = ["--also", away, "--also", stuck, "--response-timeout-ms", "500"];
  const { status, counters, stderr } = await forward(mine, endpoint.address, directory, flags);
  still.close();
  expect(endpoint.lines()).toHaveLength(GETS);
  expect(status).toBe(0);
  const all = { seen: GETS, forwarded: GETS, answered: GETS };
  expect(counters.requests).toMatchObject(all);
  expect(counters.destinations.map(({ address }: any) => address)).toEqual([away, stuck]);
  for (const each of counters.destinations) {
    expect(each.requests).toMatchObject({ seen: GETS, answered: 0 });
    expect(identityFaults(each)).toEqual([]);
  }
  expect(stderr).toContain(`Cannot connect to ${away}: connection refused`);
  expect(stderr).toContain(`Gave up a connection to ${stuck}`);
  expect(stderr).not.toContain(`Cannot connect to ${endpoint.address}`);
}, 20_000);

test.concurrent("an endpoint that is away costs further destinations nothing", async () => {
  using other = await RawEndpoint.listen();
  const flags = ["--also", other.address, "--outage-timeout-s", "1"];
  const { status, counters } = await forward(mine, refusingAddress(), directory, flags);
  expect(other.lines()).toHaveLength(GETS);
  expect(status).toBe(1);
  expect(counters.requests).toMatchObject({ seen: GETS, dropped: { endpoint_down: GETS } });
  expect(counters.destinations[0].requests).toMatchObject({ seen: GETS, forwarded: GETS, answered: GETS });
});

test.concurrent("mode tcp: each gets all bytes, and then the end", async () => {
  using endpoint = await RawEndpoint.listen();
  using other = await RawEndpoint.listen();
  const flags = ["--mode", "tcp", "--fin-delay-ms", "20", "--also", other.address];
  const { status, counters } = await forward(mine, endpoint.address, directory, flags);
  expect(status).toBe(0);
  for (const each of [endpoint, other]) {
    expect(each.lines()).toHaveLength(GETS);
    expect(each.connections.map(({ ended }) => ended)).toEqual([true, true, true, true]);
  }
  expect(counters.destinations[0].upstream).toMatchObject({ connects: 4, closed: 4, bytes: counters.upstream.bytes });
});
