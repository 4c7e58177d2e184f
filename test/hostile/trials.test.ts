/** The trials of scripts/fuzz --hostile beside floods, smaller. */
import { expect, test } from "bun:test";
import { canIsolate } from "../executable/program.ts";
import { END_MS_MAX } from "./attack.ts";
import { attackApart } from "./outside.ts";

const MAX_BUFFER_MIB = 16;
const SECONDS = 60;
const TIMEOUT_MS = 100_000;
/** The most bytes that a single record may leave behind: nothing, except for changes of the heap. */
const GROWN_BYTES_MAX = 40;

const setup = { maxBufferMib: MAX_BUFFER_MIB, seconds: SECONDS };

test(
  "memory does not grow with the reads of a pipe",
  async () => {
    const { grownBytes, status, broken } = await attackApart("records-alone", { ...setup, way: "read", scale: 0.3 });
    expect(grownBytes).toBeLessThan(GROWN_BYTES_MAX);
    expect(broken).toEqual([]);
    expect(status).toBe(0);
  },
  TIMEOUT_MS,
);

const isolated = canIsolate("the signal while threads start");

test.if(isolated)(
  "the signal is looked at while threads start",
  async () => {
    const { endMs, status, broken } = await attackApart("many-threads", { ...setup, way: "live", scale: 0.25 });
    expect(endMs).toBeLessThan(END_MS_MAX);
    expect(broken).toEqual([]);
    expect(status).toBe(0);
  },
  TIMEOUT_MS,
);
