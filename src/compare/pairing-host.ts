import type { ComparedExchange, ExchangeHost } from "./exchange.ts";
import type { ResponseRecorder } from "./recorder.ts";

/** The part that all client connections of a shard share. */
export interface PairingHost extends ExchangeHost {
  /** The capture's time. */
  readonly captureMs: number;
  newRecorder(): ResponseRecorder;
  /** Draws whether a request is left out of the comparison. */
  isSampledOut(): boolean;
  /** Production's response to an exchange is waited for. */
  await(exchange: ComparedExchange): void;
  /** Production's response to an exchange has begun. */
  begun(exchange: ComparedExchange): void;
}
