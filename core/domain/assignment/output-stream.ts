/** Where a piece of an agent's live output comes from. */

/** `agent`: what the agent itself says, such as its messages and tool calls; the others are its program's standard streams. */
export const OUTPUT_STREAMS = ['agent', 'stdout', 'stderr'] as const;
/** The source of a piece of output. */
export type OutputStream = (typeof OUTPUT_STREAMS)[number];
