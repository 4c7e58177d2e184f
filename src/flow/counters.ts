/** The counters of flow. */

export const flowCounters = () => ({
  /** Flows that began with their SYN. */
  opened: 0,
  /** Flows that began in their middle: the SYN was never seen. */
  picked_up: 0,
  closed: 0,
  /** Flows that were ended because more were open than --max-flows says, or than a share of the budget takes. */
  evicted: 0,
  active: 0,
});

/** New counters of reassembly, all zero. */
export const reassemblyCounters = () => ({
  delivered_bytes: 0,
  /** Segments that came before the bytes they follow. */
  out_of_order: 0,
  /** Bytes of segments without new bytes. */
  retransmitted_bytes: 0,
  /** Bytes seen before, in segments with new bytes. */
  overlap_bytes: 0,
  /** Holes given up. */
  gaps: 0,
  gap_bytes: 0,
  /** Bytes that waited behind a hole when a reset ended their flow, and did not belong to the next flow either. */
  discarded_bytes: 0,
  /** Segments too far from their flow's sequence numbers to belong to it. */
  out_of_window: 0,
  /** Holes given up because as many segments waited as --max-pending-packets allows. */
  pending_limit: 0,
  /** Holes given up because the memory of --max-buffer-mib was full. */
  buffer_limit: 0,
});

/** The counters of reassembly. */
export type ReassemblyCounters = ReturnType<typeof reassemblyCounters>;

/** The counters of a flow table. */
export interface FlowTableCounters {
  readonly flows: ReturnType<typeof flowCounters>;
  readonly reassembly: ReassemblyCounters;
}
