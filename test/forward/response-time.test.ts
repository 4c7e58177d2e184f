/** The endpoint's response time: from the last byte of a request that it got to the first byte of its response. */
import { expect, test } from "bun:test";
import { Load } from "../../src/forward/load.ts";
import { Clients } from "./clients.ts";
import { Mirrored } from "./mirrored.ts";
import type { ScriptedSocket } from "./scripted.ts";

const GET = "GET / HTTP/1.1\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const LARGE = `PUT / HTTP/1.1\r\nContent-Length: 200\r\n\r\n${"x".repeat(200)}`;

interface Case {
  readonly name: string;
  readonly options?: ConstructorParameters<typeof Mirrored>[0];
  /** The client's first bytes. */
  readonly says: string;
  /** The amounts that the kernel takes of the first writes. */
  readonly takes?: number[];
  readonly act: (world: Mirrored, socket: ScriptedSocket) => void;
  /** All times together; null: none is counted. */
  readonly wantMs: number | null;
}

const after =
  (ms: number, ...texts: string[]) =>
  (world: Mirrored, socket: ScriptedSocket) => {
    for (const text of texts) {
      world.pass(ms);
      world.answer(socket, text);
    }
  };

const CASES: Case[] = [
  { name: "a response that comes at once", says: GET, act: after(30, OK), wantMs: 30 },
  {
    name: "the status line counts if the response comes in parts",
    says: GET,
    act: after(20, OK.slice(0, 17), OK.slice(17)),
    wantMs: 20,
  },
  { name: "interim responses do not count", says: GET, act: after(20, CONTINUE, OK), wantMs: 40 },
  {
    name: "a request that the kernel takes in two parts counts from the second",
    says: GET,
    takes: [5],
    act: (world, socket) => {
      world.pass(5);
      socket.events.writable();
      after(30, OK)(world, socket);
    },
    wantMs: 30,
  },
  {
    name: "a response to a request that is still being written is not timed",
    says: GET,
    takes: [5, 0, 0, 0, 0],
    act: after(30, OK),
    wantMs: null,
  },
  {
    name: "a streamed request counts from its end",
    options: { maxRequestBytes: 100 },
    says: LARGE.slice(0, 150),
    act: (world, socket) => {
      world.pass(70);
      world.client(LARGE.slice(150));
      after(30, OK)(world, socket);
    },
    wantMs: 30,
  },
  {
    name: "a response before the streamed request's end is not timed",
    options: { maxRequestBytes: 100 },
    says: LARGE.slice(0, 150),
    act: (world, socket) => {
      after(30, OK)(world, socket);
      world.client(LARGE.slice(150));
    },
    wantMs: null,
  },
  {
    name: "pipelined requests are not timed",
    options: { pipelineDepth: 2 },
    says: GET + GET,
    act: after(30, OK, OK),
    wantMs: null,
  },
  {
    name: "each request of a connection is timed separately",
    says: GET + GET,
    act: after(30, OK, OK),
    wantMs: 60,
  },
];

test.each(CASES)("$name", ({ options, says, takes, act, wantMs }) => {
  const world = new Mirrored(options);
  world.client(says);
  const socket = world.connector.accept(takes);
  world.tick();
  act(world, socket);
  const { count, sum_ms } = world.counters.response_time;
  expect(count > 0 ? sum_ms : null).toBe(wantMs);
});

test("each response is timed when it comes, also if others came before it and the program has done nothing since", () => {
  // The runtime asks the kernel for events more than once before it calls back, if there are very many.
  const world = new Clients();
  world.connector.afterEvents = () => {};
  for (let i = 0; i < 3; i++) world.say(world.open(), GET);
  const [first, second] = [world.connector.accept(), world.connector.accept()];
  const respondAfter = (ms: number, socket: ScriptedSocket) => {
    world.nowMs += ms;
    socket.events.received(new TextEncoder().encode(OK));
  };
  respondAfter(30, first);
  respondAfter(20, second);
  // Its request is written when the connection is made.
  const third = world.connector.accept();
  respondAfter(5, third);
  expect(world.counters.response_time).toMatchObject({ count: 3, sum_ms: 30 + 50 + 5 });
});

test("the longest queue of the interval is reported, and the next interval begins with the present one", () => {
  const load = new Load();
  const [a, b] = [{ waiting: 0 }, { waiting: 0 }];
  const set = (queue: { waiting: number }, waiting: number) => {
    queue.waiting = waiting;
    if (waiting > load.longestWaiting) load.noteLongest(queue);
  };
  expect(load.takeLongest()).toBe(0);
  set(a, 7);
  set(a, 5);
  set(b, 6);
  expect([load.takeLongest(), load.takeLongest()]).toEqual([7, 5]);
  set(a, 0);
  set(b, 0);
  expect([load.takeLongest(), load.takeLongest()]).toEqual([5, 0]);
  set(b, 1);
  expect(load.takeLongest()).toBe(1);
});
