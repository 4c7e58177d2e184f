/**
 * One request, with the responses of production and of the endpoint: when both are known, it gets its verdict. Every
 * exchange gets exactly one verdict.
 */
import { Aged } from "../memory/age-list.ts";
import type { Exchange, Recorder, Witness } from "../forward/exchange.ts";
import { SWITCHING_PROTOCOLS } from "../http/status-line.ts";
import type { ComparedMemory } from "./memory.ts";
import type { ResponseRecorder } from "./recorder.ts";
import type { Kept } from "./response.ts";
import type { NotComparableReason, Tally } from "./tally.ts";
import { FileExchange } from "./file-exchange.ts";

/** The cost of an exchange without the responses that it holds. */
export const EXCHANGE_COST_BYTES = 768;

/** The part that all exchanges of a shard share. */
export interface ExchangeHost {
  readonly memory: ComparedMemory;
  readonly tally: Tally;
  readonly hasControl: boolean;
  /** The endpoint is a file: production's responses are written to it, and not compared. */
  readonly endpointIsFile: boolean;
  /**
   * Compares two whole responses. `control` null: there is no control, or no response of it. False: the kept parts do
   * not show whether they are the same.
   */
  compare(exchange: ComparedExchange, production: Kept, endpoint: Kept, control: Kept | null): boolean;
}

/** The client connection that an exchange belongs to. */
export interface ExchangeOwner {
  readonly clientAddress: string;
  /** Production's response is not waited for any more. */
  expire(exchange: ComparedExchange): void;
}

/** One request of a client connection of HTTP/1 or HTTP/2, until its verdict. */
export class ComparedExchange extends Aged<ComparedExchange> implements Exchange {
  /** The client's sequence number one past the request's last byte; null: that byte has not come, or is lost. */
  end: number | null = null;
  /** When the request's last segment was captured; until then, when its head was. */
  requestMs: number;
  /** The request's target as production saw it. */
  target = "";
  /** The request has offered HTTP/2, and production has accepted: its response came in HTTP/2. */
  isUpgraded = false;
  /** The verdict was counted. */
  private isSettled = false;
  private isProductionKnown = false;
  /** Production's response; null: there is no comparable response. */
  private production: Kept | null = null;
  private productionReason: NotComparableReason | null = null;
  /** The endpoint's response. */
  private endpoint: Kept | null = null;
  private isForwarded = false;
  /** The same request on its way to the control; null: there is no control. */
  readonly control: ControlExchange | null;
  private isControlKnown: boolean;
  private controls: Kept | null = null;
  private isReleased = false;
  /** The exchanges of files that production's response is written to; null: there are no files. */
  private files: FileExchange[] | null = null;
  readonly witness: Witness | null;

  constructor(
    private readonly comparison: ExchangeHost,
    readonly stream: ExchangeOwner,
    readonly method: string,
    readonly minorVersion: number,
    /** The client's sequence number of the request's first byte. */
    readonly start: number,
    /** The client's acknowledgment number when the request began; null: not known. */
    readonly acknowledged: number | null,
    /** Bytes before the request are lost: it is not known how many responses come first. */
    public isBehindLoss: boolean,
    /** The request is left out; only its place among the others counts. */
    readonly isSampledOut: boolean,
    /** When the request's head came, in the capture's time. */
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

  /** An exchange of HTTP/2: its response is found by its stream, and not by its place among the others. */
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

  // Events on the way to the endpoint (Exchange).

  responded(recorder: Recorder, code: number): void {
    // A request that is sent again gets another response.
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

  /** The holder of the request has reported its outcome in another way. */
  released(): void {
    if (this.witness !== null) (this.witness as FileExchange).released();
  }

  /** The control's response has come; null: there is no response. */
  controlIs(kept: Kept | null): void {
    this.isControlKnown = true;
    if (this.isSettled) this.comparison.memory.giveBackKept(kept);
    else this.controls = kept;
    this.settleIfKnown();
  }

  // Events in production.

  /** Production's response is complete. */
  produced(kept: Kept): void {
    this.tellFiles(kept);
    if (this.isSettled || this.isProductionKnown) this.comparison.memory.giveBackKept(kept);
    else this.production = kept;
    this.productionIs(null);
  }

  /** There is no response of production that can be compared. */
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
      // Until the control has responded, a difference may be noise.
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

  /** Whether both production and the endpoint go on in another protocol. */
  private isPassedThrough(production: number, endpoint: number): boolean {
    if (this.method === "CONNECT") return isSuccess(production) && isSuccess(endpoint);
    return endpoint === SWITCHING_PROTOCOLS && (production === SWITCHING_PROTOCOLS || this.isUpgraded);
  }

  /** Gives the verdict. `reason` null: the responses were compared. */
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

  /** Releases the exchange. Until production's response is known, the exchange keeps its place among the others. */
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

/** The same request on its way to the control. Tells the control's response exactly once. */
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
