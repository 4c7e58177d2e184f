/**
 * One request, with what production and the endpoint made of it: when both are known, it gets its verdict. It has just
 * one, whatever becomes of it.
 */
import { Aged } from "../memory/age-list.ts";
import type { Exchange, Recorder, Witness } from "../forward/exchange.ts";
import type { ComparedMemory } from "./memory.ts";
import type { ResponseRecorder } from "./recorder.ts";
import type { Kept } from "./response.ts";
import type { NotComparableReason, Tally } from "./tally.ts";
import { FileExchange } from "./file-exchange.ts";

/** What an exchange costs beside the responses that it holds. */
export const EXCHANGE_COST_BYTES = 768;

const SWITCHING_PROTOCOLS = 101;

/** What all exchanges of a shard share. */
export interface ExchangeHost {
  readonly memory: ComparedMemory;
  readonly tally: Tally;
  readonly hasControl: boolean;
  /** The endpoint is a file: what production responds is written, and compared with nothing. */
  readonly endpointIsFile: boolean;
  /**
   * Compares what is whole of both; `control` null: there is none, or nothing of it. False: what was kept does not show
   * whether they are the same.
   */
  compare(exchange: ComparedExchange, production: Kept, endpoint: Kept, control: Kept | null): boolean;
}

/** The client connection that an exchange is of. */
export interface ExchangeOwner {
  readonly clientAddress: string;
  /** Production's response is not waited for any more. */
  expire(exchange: ComparedExchange): void;
}

export class ComparedExchange extends Aged<ComparedExchange> implements Exchange {
  /** The client's sequence number one past its last byte; null: that has not come, or is lost. */
  end: number | null = null;
  /** When its last segment was captured; before, its head. */
  requestMs: number;
  /** As production saw it. */
  target = "";
  /** It has offered to go on in HTTP/2, and production has: that is where its response came. */
  isUpgraded = false;
  /** Its verdict was counted. */
  private isSettled = false;
  private isProductionKnown = false;
  /** Production's response; null: none that can be compared. */
  private production: Kept | null = null;
  private productionReason: NotComparableReason | null = null;
  /** The endpoint's. */
  private endpoint: Kept | null = null;
  private isForwarded = false;
  /** On its way to the control; null: there is none. */
  readonly control: ControlExchange | null;
  private isControlKnown: boolean;
  private controls: Kept | null = null;
  private isReleased = false;
  /** For files in which production's response is written; null: there is none. */
  private files: FileExchange[] | null = null;
  readonly witness: Witness | null;

  constructor(
    private readonly comparison: ExchangeHost,
    readonly stream: ExchangeOwner,
    readonly method: string,
    readonly minorVersion: number,
    /** The client's sequence number of its first byte. */
    readonly start: number,
    /** What the client had acknowledged of the server's side when it began; null: nothing that is known. */
    readonly acknowledged: number | null,
    /** What was before it is lost: how many responses come first is not known. */
    public isBehindLoss: boolean,
    /** Only its place among the others counts. */
    readonly isSampledOut: boolean,
    /** When its head came, in the capture's time. */
    readonly seenMs: number,
    private readonly costBytes = EXCHANGE_COST_BYTES,
  ) {
    super();
    this.requestMs = seenMs;
    comparison.memory.take(costBytes);
    this.control = comparison.hasControl && !isSampledOut ? new ControlExchange(comparison.memory, this) : null;
    this.isControlKnown = this.control === null;
    this.witness = comparison.endpointIsFile && !isSampledOut ? this.toFile() : null;
    if (!isSampledOut) return;
    this.isSettled = true;
    comparison.tally.sampled_out++;
  }

  /** One whose response is told by a number of its own, and not by its place among the others. */
  static ofCall(
    comparison: ExchangeHost,
    owner: ExchangeOwner,
    method: string,
    seenMs: number,
    costBytes: number,
  ): ComparedExchange {
    return new ComparedExchange(comparison, owner, method, 1, 0, null, false, false, seenMs, costBytes);
  }

  /** Whether production's response is to be kept. */
  get isWanted(): boolean {
    return !this.isSettled || (this.files !== null && this.files.some(({ isWaiting }) => isWaiting));
  }

  toFile(): FileExchange {
    const file = new FileExchange(this.comparison.memory);
    this.files ??= [];
    this.files.push(file);
    if (this.isProductionKnown) file.produced(null, 0, 0);
    return file;
  }

  // What became of it on its way to the endpoint (Exchange).

  responded(recorder: Recorder, code: number): void {
    // One that was sent again has another response.
    this.forgetEndpoint();
    this.endpoint = (recorder as ResponseRecorder).take(code);
  }

  forwarded(): void {
    this.isForwarded = true;
    this.settleIfKnown();
  }

  unanswered(): void {
    this.settle("unanswered");
  }

  notForwarded(): void {
    this.settle("request_not_forwarded");
    this.released();
  }

  damaged(): void {
    this.settle("request_damaged");
    this.released();
  }

  /** Something else is told by whoever has the request. */
  released(): void {
    if (this.witness !== null) (this.witness as FileExchange).released();
  }

  /** What the control has responded; null: nothing. */
  controlIs(kept: Kept | null): void {
    this.isControlKnown = true;
    if (this.isSettled) this.comparison.memory.giveBackKept(kept);
    else this.controls = kept;
    this.settleIfKnown();
  }

  // What became of it in production.

  /** Its response is complete. */
  produced(kept: Kept): void {
    this.tellFiles(kept);
    if (this.isSettled || this.isProductionKnown) this.comparison.memory.giveBackKept(kept);
    else this.production = kept;
    this.productionIs(null);
  }

  /** There is no response that can be compared. */
  unproduced(reason: "production_response_damaged" | "production_response_missing"): void {
    this.productionIs(reason);
  }

  private productionIs(reason: NotComparableReason | null): void {
    if (this.isProductionKnown) return;
    this.tellFiles(null);
    this.isProductionKnown = true;
    this.productionReason = reason;
    this.list?.remove(this);
    this.settleIfKnown();
    this.release();
  }

  private tellFiles(kept: Kept | null): void {
    const { files } = this;
    if (files === null || this.isProductionKnown) return;
    this.files = null;
    for (const file of files) file.produced(kept, kept?.heldBytes ?? 0, this.requestMs);
  }

  private settleIfKnown(): void {
    if (this.isSettled || !this.isForwarded || !this.isProductionKnown) return;
    const { production, endpoint, comparison } = this;
    if (production === null || endpoint === null) {
      this.settle(this.productionReason ?? "unanswered");
    } else if (comparison.endpointIsFile) {
      this.settle(production.response === null ? "too_large" : "endpoint_is_file");
    } else if (!this.isControlKnown) {
      // What it says may be noise.
      return;
    } else if (production.response === null || endpoint.response === null) {
      this.settle("too_large");
    } else if (this.isPassedThrough(production.response.code, endpoint.response.code)) {
      this.settle("pass_through");
    } else if (comparison.compare(this, production, endpoint, this.controls)) {
      this.settle(null);
    } else {
      this.settle("too_large");
    }
  }

  /** Whether both go on in another protocol. */
  private isPassedThrough(production: number, endpoint: number): boolean {
    if (this.method === "CONNECT") return isSuccess(production) && isSuccess(endpoint);
    return endpoint === SWITCHING_PROTOCOLS && (production === SWITCHING_PROTOCOLS || this.isUpgraded);
  }

  /** `reason` null: it was compared. */
  private settle(reason: NotComparableReason | null): void {
    if (this.isSettled) return;
    this.isSettled = true;
    const { comparison } = this;
    if (reason !== null) comparison.tally.not_comparable[reason]++;
    this.forgetEndpoint();
    comparison.memory.giveBackKept(this.production);
    this.production = null;
    comparison.memory.giveBackKept(this.controls);
    this.controls = null;
    this.release();
  }

  /** Until production's response is known, its place among the others is needed. */
  private release(): void {
    if (!this.isSettled || !this.isProductionKnown || this.isReleased) return;
    this.isReleased = true;
    this.comparison.memory.giveBack(this.costBytes);
  }

  private forgetEndpoint(): void {
    this.comparison.memory.giveBackKept(this.endpoint);
    this.endpoint = null;
  }
}

/** The same request on its way to the control: it tells just once what that has responded. */
export class ControlExchange implements Exchange {
  target = "";
  readonly control = null;
  readonly witness = null;
  private kept: Kept | null = null;
  private isKnown = false;

  constructor(
    private readonly memory: ComparedMemory,
    private readonly exchange: { controlIs(kept: Kept | null): void },
  ) {}

  responded(recorder: Recorder, code: number): void {
    this.memory.giveBackKept(this.kept);
    this.kept = (recorder as ResponseRecorder).take(code);
  }

  forwarded(): void {
    this.tell(this.kept);
  }

  unanswered(): void {
    this.tell(null);
  }

  notForwarded(): void {
    this.tell(null);
  }

  damaged(): void {
    this.tell(null);
  }

  released(): void {
    this.tell(null);
  }

  toFile(): null {
    return null;
  }

  private tell(kept: Kept | null): void {
    if (kept === null) this.memory.giveBackKept(this.kept);
    this.kept = null;
    if (this.isKnown) return;
    this.isKnown = true;
    this.exchange.controlIs(kept);
  }
}

function isSuccess(code: number): boolean {
  return code >= 200 && code < 300;
}
