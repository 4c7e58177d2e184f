/**
 * With --read the source can wait: no whole request is lost because it was read faster than the endpoint serves, or
 * while the endpoint is away for less than --outage-timeout-s. (`scripts/servers uploads outage` does this at full
 * size.)
 */
import { afterAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { pcap } from "../support/frames.ts";
import { freePort } from "../support/free-port.ts";
import { forward, identityFaults } from "./mirror.ts";
import { OK, RawEndpoint } from "./raw-endpoint.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const mine = { vni: VNI, port: PORT };
const SEGMENT_BYTES = 50_000;
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: prod.example\r\n\r\n`;
const post = (path: string, bytes: number) =>
  `POST ${path} HTTP/1.1\r\nHost: prod.example\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;

/** Segments of a size that IP can carry. */
function segments(stream: string): string[] {
  return Array.from({ length: Math.ceil(stream.length / SEGMENT_BYTES) }, (_, i) =>
    stream.slice(i * SEGMENT_BYTES, (i + 1) * SEGMENT_BYTES),
  );
}

describe.concurrent("bytes wait as requests do", () => {
  const responding = (delayMs: number) =>
    RawEndpoint.listen({ respond: ({ socket }) => void setTimeout(() => socket.write(OK), delayMs) });

  test("a POST of 24 MiB behind a GET that takes 500 ms", async () => {
    using endpoint = await responding(500);
    const bytes = 24 << 20;
    const savefile = pcap(session(segments(get("/1") + post("/2", bytes) + get("/3"))));
    const { status, counters } = await forward({ savefile, ...mine }, endpoint.address, directory);
    expect(endpoint.lines()).toEqual(["GET /1", "POST /2", "GET /3"]);
    expect(endpoint.requests()[1]!.length).toBe(post("/2", bytes).length);
    expect(counters.requests).toMatchObject({ seen: 3, forwarded: 3, answered: 3 });
    expect(status).toBe(0);
  }, 20_000);

  test("40 POSTs of 900 kB at 5 ms each, with a limit of 16 MiB", async () => {
    using endpoint = await responding(5);
    const posts = 40;
    const savefile = pcap(session(segments(Array.from({ length: posts }, (_, i) => post(`/${i}`, 900_000)).join(""))));
    const { status, counters } = await forward({ savefile, ...mine }, endpoint.address, directory, [
      "--max-buffer-mib",
      "16",
    ]);
    expect(endpoint.lines()).toEqual(Array.from({ length: posts }, (_, i) => `POST /${i}`));
    expect(counters.requests).toMatchObject({ seen: posts, forwarded: posts, answered: posts });
    expect(status).toBe(0);
  }, 20_000);
});

describe.concurrent("an endpoint that is away", () => {
  const REQUESTS = 40;
  const AWAY_MS = 1500;
  const targets = Array.from({ length: REQUESTS }, (_, i) => `GET /${i}`);
  const savefile = pcap(session(targets.map((_, i) => get(`/${i}`))));
  const flags = ["--connect-timeout-ms", "300"];

  /** Serves half of the requests, is away, and comes back. */
  async function away(flags: string[], comesBack: boolean) {
    const port = freePort();
    const first: RawEndpoint = await RawEndpoint.listen({
      port,
      respond: ({ socket }, _request, number) => {
        socket.write(OK, () => {
          if (number !== REQUESTS / 2 - 1) return;
          first.stop();
          if (comesBack)
            setTimeout(() => void RawEndpoint.listen({ port }).then((endpoint) => (second = endpoint)), AWAY_MS);
        });
      },
    });
    let second: RawEndpoint | undefined;
    try {
      const outcome = await forward({ savefile, ...mine }, first.address, directory, flags);
      return { outcome, lines: [...first.lines(), ...(second?.lines() ?? [])] };
    } finally {
      first.stop();
      second?.stop();
    }
  }

  test("for longer than --connect-timeout-ms, and comes back: all requests are served, and the outage is reported", async () => {
    const { outcome, lines } = await away(flags, true);
    expect(lines).toEqual(targets);
    expect(outcome.counters.requests).toMatchObject({ seen: REQUESTS, forwarded: REQUESTS, answered: REQUESTS });
    expect(outcome.stderr).toMatch(/ WARN /);
    expect(outcome.status).toBe(0);
  }, 20_000);

  test("for ever: the exit status says that something whole was not forwarded, and a warning gives the reason", async () => {
    const { outcome, lines } = await away([...flags, "--outage-timeout-s", "2"], false);
    expect(lines).toEqual(targets.slice(0, REQUESTS / 2));
    const { requests, responses } = outcome.counters;
    expect(requests).toMatchObject({ seen: REQUESTS, answered: REQUESTS / 2 });
    // The request that was written while the endpoint disappeared counts as forwarded, and has no response.
    expect(responses.unanswered).toBeLessThanOrEqual(1);
    expect(requests.dropped.endpoint_down + responses.unanswered).toBe(REQUESTS / 2);
    expect(identityFaults(outcome.counters)).toEqual([]);
    expect(outcome.stderr).toMatch(/ WARN /);
    expect(outcome.status).toBe(1);
  }, 20_000);

  test("from the start, and comes: all requests are served", async () => {
    const port = freePort();
    const running = forward({ savefile, ...mine }, `127.0.0.1:${port}`, directory, flags);
    await Bun.sleep(AWAY_MS);
    using endpoint = await RawEndpoint.listen({ port });
    const { status, counters } = await running;
    expect(endpoint.lines()).toEqual(targets);
    expect(counters.requests).toMatchObject({ seen: REQUESTS, forwarded: REQUESTS });
    expect(status).toBe(0);
  }, 20_000);
});
