/** A shard's thread that responds correctly until it captures. */
import type { FromShard, ToShard } from "../../src/shard/messages.ts";

declare const self: Worker;

const ANSWERS: Partial<Record<ToShard["kind"], FromShard>> = {
  open: { kind: "opened", libraryName: "none", fanoutId: 1 },
  accept: { kind: "accepting" },
  close: { kind: "closed" },
};

self.onmessage = ({ data }: MessageEvent<ToShard>) => {
  const answer = ANSWERS[data.kind];
  if (answer === undefined) throw new Error(`${data.kind} is not for a thread that only starts`);
  self.postMessage(answer);
};
