/**
 * (a) From memory: decode and reassemble (mode tcp), and also frame requests (mode http), without an endpoint. A batch
 * is in one buffer, as after reading or capturing; filling the buffer is not measured.
 */
import { Budget } from "../../src/memory/budget.ts";
import type { RecordSource } from "../../src/capture/record-source.ts";
import { Decoder } from "../../src/decode/decoder.ts";
import { SEGMENT } from "../../src/decode/drop-reason.ts";
import { FlowTable } from "../../src/flow/flow-table.ts";
import type { StreamConsumer, StreamOpener, StreamOrigin } from "../../src/flow/stream.ts";
import { RequestFramer } from "../../src/http/request-framer.ts";
import type { RequestSink } from "../../src/http/request-sink.ts";
import { Counters } from "../../src/observe/counters.ts";
import { CONNECTIONS, PORT, records, requests, type Traffic, uploads, VNI } from "./capture.ts";
import type { Figures } from "./figures.ts";

const VXLAN_PORT = 4789;
const LINK_TYPE_ETHERNET = 1;
const BATCH_BYTES = 1 << 20;
const RECORD_HEADER_LEN = 16;

/** A batch of a savefile's records in the one buffer that all batches use. */
class BatchSource implements RecordSource {
  readonly bytes = new Uint8Array(BATCH_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  offset = 0;
  length = 0;
  readonly linkType = LINK_TYPE_ETHERNET;
  timestampMs = 0;
  private begin = 0;
  private end = 0;

  fill(batch: Uint8Array): void {
    this.bytes.set(batch);
    this.begin = 0;
    this.end = batch.length;
  }

  next(): boolean {
    if (this.begin === this.end) return false;
    const { view, begin } = this;
    this.timestampMs = view.getUint32(begin, true) * 1000 + view.getUint32(begin + 4, true) / 1000;
    this.length = view.getUint32(begin + 8, true);
    this.offset = begin + RECORD_HEADER_LEN;
    this.begin = this.offset + this.length;
    return true;
  }
}

/** Cuts traffic into batches. */
function batches(traffic: Traffic): Uint8Array[] {
  const made: Uint8Array[] = [];
  let batch = new Uint8Array(BATCH_BYTES);
  let length = 0;
  for (const record of records(traffic)) {
    if (length + record.length > BATCH_BYTES) {
      made.push(batch.slice(0, length));
      length = 0;
    }
    batch.set(record, length);
    length += record.length;
  }
  return [...made, batch.slice(0, length)];
}

/** Counts the bytes and requests at the end of the path. */
class Sink implements StreamOpener, RequestSink {
  byteCount = 0;
  requestCount = 0;

  constructor(private readonly mode: "tcp" | "http") {}

  open(_origin: StreamOrigin): StreamConsumer {
    return this.mode === "tcp" ? new Bytes(this) : new Framed(new RequestFramer(65_536, this, true));
  }

  bytes(_bytes: Uint8Array, _offset: number, length: number): void {
    this.byteCount += length;
  }

  head(): void {}

  whole(): void {
    this.requestCount++;
  }

  damaged(): void {}

  skipped(): void {}
  skippedRequestLines(): void {}

  proxyHeader(): void {}

  foreign(): void {}
}

class Bytes implements StreamConsumer {
  constructor(private readonly sink: Sink) {}

  data(bytes: Uint8Array, offset: number, length: number): void {
    this.sink.bytes(bytes, offset, length);
  }

  gap(): void {}

  idle(): boolean {
    return true;
  }

  end(): void {}
}

class Framed implements StreamConsumer {
  constructor(private readonly framer: RequestFramer) {}

  data(bytes: Uint8Array, offset: number, length: number): void {
    this.framer.push(bytes, offset, length);
  }

  gap(length: number): void {
    this.framer.gap(length);
  }

  idle(): boolean {
    return true;
  }

  end(): void {
    this.framer.end();
  }
}

/** Takes all batches through the path. Returns the time in nanoseconds. */
function run(all: Uint8Array[], mode: "tcp" | "http", traffic: Traffic): number {
  const counters = new Counters();
  const sink = new Sink(mode);
  const decoder = new Decoder({ vxlanPort: VXLAN_PORT, vnis: [VNI], ports: [PORT] }, counters);
  const limits = {
    maxPendingPackets: 32,
    gapTimeoutMs: Infinity,
    idleTimeoutMs: 300_000,
    maxFlows: 65_536,
    sourceWaits: true,
  };
  const flows = new FlowTable(limits, counters, new Budget(256 << 20), sink, decoder.clock);
  const source = new BatchSource();
  let ns = 0;
  for (const batch of all) {
    source.fill(batch);
    const begun = Bun.nanoseconds();
    while (source.next()) {
      const outcome = decoder.decode(
        source.bytes,
        source.view,
        source.offset,
        source.length,
        source.linkType,
        source.timestampMs,
      );
      if (outcome === SEGMENT) flows.accept(decoder.segment);
    }
    ns += Bun.nanoseconds() - begun;
  }
  flows.flush();
  const expected = traffic.segments / traffic.payloads.length;
  if (counters.reassembly.gaps > 0 || (mode === "http" && sink.requestCount < Math.floor(expected))) {
    throw new Error(
      `The path from memory lost something: ${sink.requestCount} of ${expected} requests, ${counters.reassembly.gaps} gaps`,
    );
  }
  return ns;
}

const WARM_UPS = 2;

export function measureMemoryPath(figures: Figures, runs: number, packets: number): void {
  // Whole rounds of all connections, and whole uploads, so that nothing is cut off at the end.
  const rounds = (wanted: number) => Math.max(Math.round(wanted / CONNECTIONS / 320), 1) * CONNECTIONS * 320;
  const kinds = [
    { name: "200-byte frames", make: requests, segments: rounds(packets) },
    { name: "1500-byte frames", make: uploads, segments: rounds(packets / 4) },
  ];
  const orders = [
    { name: "in order", outOfOrder: 0 },
    { name: "5 % out of order", outOfOrder: 0.05 },
  ];
  for (const kind of kinds) {
    for (const order of orders) {
      const traffic = kind.make(CONNECTIONS, kind.segments, order.outOfOrder);
      const all = batches(traffic);
      const count = traffic.segments + traffic.connections;
      const bytes = all.reduce((sum, batch) => sum + batch.length, 0) - count * RECORD_HEADER_LEN;
      for (const mode of ["tcp", "http"] as const) {
        for (let warmUp = 0; warmUp < WARM_UPS; warmUp++) run(all, mode, traffic);
        for (let i = 0; i < runs; i++) {
          const ns = run(all, mode, traffic);
          figures.add("a", `${kind.name}, ${order.name}, mode ${mode}`, "ns/packet", ns / count);
          figures.add("a", `${kind.name}, ${order.name}, mode ${mode}`, "Gbit/s", (bytes * 8) / ns);
        }
      }
    }
  }
}
