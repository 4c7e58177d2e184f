/** A shard's thread that responds correctly until it is told to accept: then it fails in the way of HOW. */
import type { FromShard, ToShard } from "../../src/shard/messages.ts";

declare const self: Worker;

const how = process.env["HOW"];

function say(message: FromShard): void {
  self.postMessage(message);
}

async function fail(): Promise<void> {
  if (how === "exits") process.exit(0);
  if (how === "refuses") return say({ kind: "refused", message: "Cannot capture on eth0: it is gone" });
  if (how === "rejects") await Promise.resolve();
  throw new Error("a bug");
}

self.onmessage = ({ data }: MessageEvent<ToShard>) => {
  if (data.kind === "open") say({ kind: "opened", libraryName: "none", fanoutId: 1 });
  if (data.kind === "accept") return fail();
};
