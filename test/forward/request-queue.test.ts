/** The queue of requests does what a plain list does, however many have left it. */
import { expect, test } from "bun:test";
import { GONE_MAX, RequestQueue } from "../../src/forward/request-queue.ts";
import { Request } from "../../src/forward/request.ts";
import { Random } from "../support/random.ts";

test("after any pushes, sends and takes, it holds the same as a list", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const queue = new RequestQueue();
    const list: Request[] = [];
    let inFlight = 0;
    for (let step = 0; step < 4 * GONE_MAX; step++) {
      // As a rule it grows: so places of removed requests come to their limit, and over it.
      if (random.chance(0.6)) {
        const request = new Request();
        request.length = random.int(0, 100);
        queue.push(request);
        list.push(request);
      } else if (random.chance(0.5) && queue.waiting > 0) {
        queue.sent();
        inFlight++;
      } else if (list.length > 0 && random.chance(0.9)) {
        expect(queue.shift()).toBe(list.shift()!);
        if (inFlight > 0) inFlight--;
      } else if (queue.waiting > 0) {
        expect(queue.takeLast()).toBe(list.pop()!);
      }
      expect([queue.length, queue.inFlight, queue.waiting]).toEqual([list.length, inFlight, list.length - inFlight]);
      if (list.length > 0) expect(queue.at(list.length - 1)).toBe(list.at(-1)!);
    }
    expect(queue.waitingBytes > 0).toBe(queue.waiting > 0);
    expect(queue.requeue((_request, place) => place === 0)).toEqual(list.slice(0, Math.min(inFlight, 1)));
    expect(queue.takeWaiting()).toEqual(list.slice(Math.min(inFlight, 1)));
    expect([queue.length, queue.waitingBytes]).toEqual([0, 0]);
  }
});

test("as many have left as leave places, and one more", () => {
  const queue = new RequestQueue();
  const requests = Array.from({ length: GONE_MAX + 2 }, () => new Request());
  for (const request of requests) queue.push(request);
  for (let i = 0; i < requests.length; i++) {
    expect(queue.at(0)).toBe(requests[i]!);
    expect(queue.shift()).toBe(requests[i]!);
  }
  expect(queue.length).toBe(0);
});
