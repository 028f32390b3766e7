/** Every bound of the hub, with its unit and default. Beyond a bound the answer is 429, 503 or a closed socket. */
export interface HubLimits {
  /** A frame from an identified sidecar, bytes. */
  readonly frameBytes: number;
  /** A frame before identify, bytes. */
  readonly unidentifiedFrameBytes: number;
  /** How long a socket may stay without identify, milliseconds. */
  readonly identifyMs: number;
  /** The body of a submit, bytes. */
  readonly submitBytes: number;
  readonly bulkLines: number;
  readonly bulkBytes: number;
  /** Commands waiting for a commit. */
  readonly inboxCommands: number;
  /** Their size, bytes. */
  readonly inboxBytes: number;
  /** Commands in one commit. */
  readonly batchCommands: number;
  /** Bytes waiting in one socket. */
  readonly socketQueueBytes: number;
  /** Progress events stored for one attempt. */
  readonly progressPerAttempt: number;
  readonly slotsPerAgent: number;
  readonly sockets: number;
  readonly unidentifiedSockets: number;
  /** Rows on a page. */
  readonly page: number;
  /** Event streams open at once. */
  readonly streams: number;
  /** Requests of one token in a second; 0 is off. */
  readonly requestsPerSecond: number;
  /** Requests of one token at once, over `requestsPerSecond`. */
  readonly requestBurst: number;
  /** How late the event loop may be before bulk submits and reads are refused, milliseconds. */
  readonly loopDelayMs: number;
  /** Invalid frames of one socket within a minute before it is closed. */
  readonly invalidFrames: number;
}

export const HUB_LIMITS: HubLimits = {
  frameBytes: 1_048_576,
  unidentifiedFrameBytes: 65_536,
  identifyMs: 10_000,
  submitBytes: 262_144,
  bulkLines: 10_000,
  bulkBytes: 16_777_216,
  inboxCommands: 20_000,
  inboxBytes: 67_108_864,
  batchCommands: 1_000,
  socketQueueBytes: 4_194_304,
  progressPerAttempt: 1_000,
  slotsPerAgent: 128,
  sockets: 12_000,
  unidentifiedSockets: 2_000,
  page: 500,
  streams: 200,
  requestsPerSecond: 1_000,
  requestBurst: 5_000,
  loopDelayMs: 1_000,
  invalidFrames: 10,
};
