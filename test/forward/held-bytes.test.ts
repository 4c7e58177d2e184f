/** What holds bytes for a destination is bounded in its pieces, keeps their order, and gives all of its memory back. */
import { expect, test } from "bun:test";
import { ARRAY_BYTES_MAX, ByteQueue } from "../../src/forward/byte-queue.ts";
import { HeldMemory } from "../../src/forward/held-memory.ts";
import { RequestPool, SPARE_ARRAY_BYTES_MAX, SPARE_MAX, SPARE_SHARE_MAX } from "../../src/forward/request.ts";
import { COPY_BYTES_MAX, UpgradeOffer } from "../../src/forward/upgrade-offer.ts";
import { ArrayPool } from "../../src/memory/array-pool.ts";
import { Budget, Cost } from "../../src/memory/budget.ts";
import { Random } from "../support/random.ts";

const PLENTY_BYTES = 2 ** 30;
const memoryOf = (limitBytes = PLENTY_BYTES) => new HeldMemory(new Budget(limitBytes), new ArrayPool());

test("a queue gives back the pushed bytes, in arrays within their length limit", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new Random(seed);
    const memory = memoryOf();
    const queue = new ByteQueue(memory);
    let pushed = 0;
    let taken = 0;
    for (let step = 0; step < 40; step++) {
      const length = random.pick([1, random.int(1, 1000), random.int(1, ARRAY_BYTES_MAX + 1)]);
      const bytes = Uint8Array.from({ length }, (_, i) => (pushed + i) % 251);
      queue.push(bytes, 0, length);
      pushed += length;
      while (queue.length > 0 && random.chance(0.4)) {
        const some = random.int(1, queue.firstLength);
        for (let i = 0; i < some; i++)
          if (queue.bytes[queue.offset + i] !== (taken + i) % 251) throw new Error(`seed ${seed}: byte ${taken + i}`);
        queue.consume(some);
        taken += some;
      }
      expect(queue.bytes.length).toBeLessThanOrEqual(ARRAY_BYTES_MAX);
      expect(queue.length).toBe(pushed - taken);
    }
    queue.clear();
    expect(memory.budget.usedBytes).toBe(0);
  }
});

test.each([
  ["an array as long as may be", ARRAY_BYTES_MAX, 1],
  ["a byte more", ARRAY_BYTES_MAX + 1, 2],
])("waiting bytes take %s", (_what, length, arrays) => {
  const queue = new ByteQueue(memoryOf());
  queue.push(new Uint8Array(length), 0, length);
  let count = 0;
  queue.copyTo(() => count++);
  expect(count).toBe(arrays);
});

test.each([
  ["so many", PLENTY_BYTES, SPARE_MAX],
  ["as fit into a share of the budget", (10 * (Cost.REQUEST + Cost.ARRAY)) / SPARE_SHARE_MAX, 10],
])("of requests, %s are kept to be used again", (_what, limitBytes, count) => {
  const memory = memoryOf(limitBytes);
  const pool = new RequestPool(memory, 1 << 20);
  const take = () => Array.from({ length: count + 1 }, () => pool.take(0));
  const all = take();
  for (const request of all) pool.giveBack(request);
  const known = new Set(all);
  expect(take().filter((request) => known.has(request))).toHaveLength(count);
});

test.each([
  [SPARE_ARRAY_BYTES_MAX, true],
  [SPARE_ARRAY_BYTES_MAX + 1, false],
])("a request of %d bytes keeps its array to be used again: %p", (length, keeps) => {
  const memory = memoryOf();
  const pool = new RequestPool(memory, 1 << 20);
  const request = pool.take(0);
  pool.hold(request, new Uint8Array(length), 0, length);
  pool.giveBack(request);
  expect([request.bytes.length > 0, request.length, memory.budget.usedBytes]).toEqual([keeps, 0, 0]);
});

test.each([
  ["together as many bytes as a copy has", [COPY_BYTES_MAX - 1, 1], 1],
  ["a byte more", [COPY_BYTES_MAX - 1, 2], 2],
  ["one that is longer by itself", [1, COPY_BYTES_MAX + 1, 1], 3],
])("pieces behind an offer are given on as they came: %s", (_what, lengths, copies) => {
  const memory = memoryOf();
  const offer = new UpgradeOffer(memory, 1000, true, false);
  for (const length of lengths) offer.add(new Uint8Array(length), 0, length, 0);
  const given: number[] = [];
  const arrays = new Set<Uint8Array>();
  offer.release({
    heldBytes: (bytes, _offset, length) => {
      given.push(length);
      arrays.add(bytes);
    },
    heldGap: () => {},
  });
  expect([given, arrays.size, memory.budget.usedBytes]).toEqual([lengths, copies, 0]);
});
