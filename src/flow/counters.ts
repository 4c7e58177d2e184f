/** What flow counts. */

export const flowCounters = () => ({
  /** Begun by their SYN. */
  opened: 0,
  /** Begun in their middle: the SYN was never seen. */
  picked_up: 0,
  closed: 0,
  /** Ended because more than --max-flows were open. */
  evicted: 0,
  active: 0,
});

export const reassemblyCounters = () => ({
  delivered_bytes: 0,
  /** Segments that came before the bytes they follow. */
  out_of_order: 0,
  /** Bytes of segments that brought nothing new. */
  retransmitted_bytes: 0,
  /** Bytes seen before in segments that brought something new. */
  overlap_bytes: 0,
  /** Holes given up. */
  gaps: 0,
  gap_bytes: 0,
  /** Bytes that waited behind a hole when a reset ended their flow, and were no next one's either. */
  discarded_bytes: 0,
  /** Segments too far from their flow's sequence numbers to belong to it. */
  out_of_window: 0,
  /** Holes given up because --max-pending-packets segments waited. */
  pending_limit: 0,
  /** Holes given up because --max-buffer-mib were held. */
  buffer_limit: 0,
});

export type ReassemblyCounters = ReturnType<typeof reassemblyCounters>;

export interface FlowTableCounters {
  readonly flows: ReturnType<typeof flowCounters>;
  readonly reassembly: ReassemblyCounters;
}
