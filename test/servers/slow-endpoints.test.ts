/** Endpoints that respond slowly, drip, or are silent when the client's end comes. */
import { afterAll, describe, expect, test } from "bun:test";
import { TemporaryDirectory } from "../executable/program.ts";
import { PORT, session, VNI } from "../executable/sessions.ts";
import { pcap } from "../support/frames.ts";
import { forward, identityFaults } from "./mirror.ts";
import { OK, RawEndpoint } from "./raw-endpoint.ts";
import { available, nginx, nginxLog, type RealServer, start } from "./real-servers.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const mine = { vni: VNI, port: PORT };
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: prod.example\r\n\r\n`;

describe.concurrent("the time limit for a response is between two reads", () => {
  const DRIPS = 12;
  const DRIP_MS = 60;
  /** Shorter than the whole response, longer than one drip. */
  const TIMEOUT_MS = "500";

  /** Sends one byte of its response at intervals. */
  const dripping = () =>
    RawEndpoint.listen({
      respond: ({ socket }) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${DRIPS}\r\n\r\n`);
        let left = DRIPS;
        const timer = setInterval(() => {
          socket.write("x");
          if (--left === 0) clearInterval(timer);
        }, DRIP_MS);
        socket.on("close", () => clearInterval(timer));
      },
    });

  const savefile = pcap(session([get("/1"), get("/2")]));

  test("a response that drips for longer than --response-timeout-ms is not cut", async () => {
    using endpoint = await dripping();
    const { counters } = await forward({ savefile, ...mine }, endpoint.address, directory, [
      "--response-timeout-ms",
      TIMEOUT_MS,
    ]);
    expect(endpoint.connections).toHaveLength(1);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
  });

  test("an event stream that goes on is not cut before its end", async () => {
    using endpoint = await RawEndpoint.listen({
      respond: ({ socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        let left = DRIPS;
        const timer = setInterval(() => {
          socket.write(left-- > 0 ? "6\r\ndata:\n\r\n" : "0\r\n\r\n");
          if (left < 0) clearInterval(timer);
        }, DRIP_MS);
        socket.on("close", () => clearInterval(timer));
      },
    });
    const { counters } = await forward({ savefile, ...mine }, endpoint.address, directory, [
      "--response-timeout-ms",
      TIMEOUT_MS,
    ]);
    expect(counters.requests).toMatchObject({ seen: 2, forwarded: 2, answered: 2 });
  });

  test("--max-response-seconds limits the whole response", async () => {
    using endpoint = await RawEndpoint.listen({
      respond: ({ socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        const timer = setInterval(() => socket.write("x"), DRIP_MS);
        socket.on("close", () => clearInterval(timer));
      },
    });
    const flags = ["--response-timeout-ms", TIMEOUT_MS, "--max-response-seconds", "1"];
    const { counters } = await forward(
      { savefile: pcap(session([get("/1")])), ...mine },
      endpoint.address,
      directory,
      flags,
    );
    expect(counters.requests).toMatchObject({ seen: 1, forwarded: 1, answered: 0 });
    expect(counters.responses.unanswered).toBe(1);
  });
});

describe.concurrent("the client's end does not cancel requests that a slower endpoint has not served yet", () => {
  const CLIENTS = 20;
  const THINKS_MS = 400;
  const frames = Array.from({ length: CLIENTS }, (_, i) => session([get(`/${i}`)], 40_000 + i)).flat();

  /** An upstream of nginx that needs some time. */
  function slowApplication() {
    const served: string[] = [];
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        await Bun.sleep(THINKS_MS);
        if (!request.signal.aborted) served.push(new URL(request.url).pathname);
        return new Response("served");
      },
    });
    return { served, port: server.port!, [Symbol.dispose]: () => void server.stop(true) };
  }

  for (const nginxHere of available([nginx()], "the client's end")) {
    test(`mode tcp: ${nginxHere.name}, which gives up the requests of a client that is gone`, async () => {
      using application = slowApplication();
      const log: number[] = [];
      const proxy: RealServer = {
        ...nginx({
          directives: `location /x { return 200; } location ~ ^/[0-9]+$ { proxy_pass http://127.0.0.1:${application.port}; }`,
        }),
        read: (text) => {
          const lines = nginxLog(text);
          log.push(...lines.map(({ status }) => status));
          return lines;
        },
      };
      const running = await start(proxy, directory);
      const { status } = await forward({ savefile: pcap(frames), ...mine }, `127.0.0.1:${running.port}`, directory, [
        "--mode",
        "tcp",
      ]).finally(() => running.stop());
      expect(application.served.length).toBe(CLIENTS);
      expect(log).toEqual(log.map(() => 200));
      expect(log).toHaveLength(CLIENTS);
      expect(status).toBe(0);
    });
  }

  test.each([
    ["mode tcp: the end is passed on once the endpoint is silent", [], "response"],
    ["--fin-delay-ms 0 passes it on at once", ["--fin-delay-ms", "0"], "end"],
  ])("%s", async (_name, flags, first) => {
    const firsts: string[] = [];
    using endpoint = await RawEndpoint.listen({
      staysOpen: true,
      respond: (connection) => {
        setTimeout(() => {
          firsts.push(connection.ended ? "end" : "response");
          connection.socket.write(OK);
          if (connection.ended) connection.socket.end();
          else connection.socket.on("end", () => connection.socket.end());
        }, THINKS_MS);
      },
    });
    const { status } = await forward({ savefile: pcap(frames), ...mine }, endpoint.address, directory, [
      "--mode",
      "tcp",
      ...flags,
    ]);
    expect(firsts).toEqual(Array.from({ length: CLIENTS }, () => first));
    expect(endpoint.connections.map(({ ended }) => ended)).toEqual(Array.from({ length: CLIENTS }, () => true));
    expect(status).toBe(0);
  });

  test("mode http: a passed-through stream", async () => {
    const events: string[] = [];
    using endpoint: RawEndpoint = await RawEndpoint.listen({
      staysOpen: true,
      respond: (connection) => {
        endpoint.pass(connection);
        connection.socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        setTimeout(() => {
          events.push(connection.ended ? "late" : "in time");
          connection.socket.write("a message");
          if (connection.ended) connection.socket.end();
          else connection.socket.on("end", () => connection.socket.end());
        }, THINKS_MS);
      },
    });
    const upgrade = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    const { counters } = await forward(
      { savefile: pcap(session([upgrade, "\x01a question"])), ...mine },
      endpoint.address,
      directory,
    );
    expect(events).toEqual(["in time"]);
    expect(endpoint.connections.map(({ rest, ended }) => ({ rest, ended }))).toEqual([
      { rest: "\x01a question", ended: true },
    ]);
    expect(identityFaults(counters)).toEqual([]);
  });
});
