/** Runs effects over the ports. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { AssignmentId } from '../../../domain/assignment/slot.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { LinkConnection } from '../../../ports/hub-link.ts';
import { frameParser } from '../../../protocol/frame-parser.ts';
import { hubSchemas, type HubFrame } from '../../../protocol/hub-frames.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { FRAME_COST, FRAMES_WAITING_MAX, KEPT_BYTES_MAX, SCAN_RETRY_MS, SCAN_ATTEMPTS_MAX, SOCKET_BYTES_MAX } from '../state/constants.ts';
import type { AfterPersistEffect, DurableEffect } from '../state/effects.ts';
import type { SidecarInput, StoredBody } from '../state/inputs.ts';
import { badFrameOf } from '../link/bad-frame.ts';
import type { SidecarPorts } from '../state/ports.ts';
import { reportSendQueue } from '../report/report-send-queue.ts';
import { runChecks } from '../health/run-checks.ts';
import { followRuns } from '../run/runs.ts';
import { checkSignature } from '../assignment/check-signature.ts';
import { assignmentIdIn, type SidecarSettings } from '../state/state.ts';
import { fileRemovals } from './file-removals.ts';
import { runningTimers } from './running-timers.ts';

/** The schemas are compiled once per process. */
const parseFrame = frameParser<HubFrame>(hubSchemas);

export interface EffectRunner {
  /** Both: undefined if nothing is left to wait for. Throw or reject as their ports do. */
  runDurable(effect: DurableEffect): Promise<void> | undefined;
  runAfterPersist(effect: AfterPersistEffect): Promise<void> | undefined;
  /** Resolves once every removal requested so far was attempted. */
  removalsDone(): Promise<void>;
  /** Resolves once the runs that are followed now have ended. */
  runsOver(): Promise<void>;
  /** Releases timers, connection and runs. */
  close(): void;
}

export interface EffectRunnerOptions extends SidecarPorts {
  readonly settings: SidecarSettings;
  /** `done` is called once the input is processed. */
  readonly take: (input: SidecarInput, done?: () => void) => void;
  /** The sidecar knows one more secret. */
  readonly onSecret: (secret: string) => void;
  readonly onReady: () => void;
  readonly onStopped: () => void;
  readonly onDrained: () => void;
}

export function effectRunner(options: EffectRunnerOptions): EffectRunner {
  const { journal, results, clock, ids, log, onReady, onStopped } = options;
  const deliver = (input: SidecarInput): void => options.take(input);
  /** For callers that wait until their inputs are processed. */
  const processed = (input: SidecarInput): Promise<void> => new Promise((done) => options.take(input, done));
  const runs = followRuns(options, options.take);
  const timers = runningTimers(clock, (timer) => deliver({ type: 'timer', timer }));
  /** Scans waiting for a retry; null once closed. */
  let scans: Set<Timer> | null = new Set();
  const removals = fileRemovals(options);
  let connection: LinkConnection | null = null;
  /** The assignments of this turn that wait for the end of the next one. */
  let awaited: AssignmentId[] = [];
  const hasRoom = (): boolean => (connection?.bufferedBytes() ?? 0) < SOCKET_BYTES_MAX;
  const reports = reportSendQueue({
    hasRoom,
    readAndSend,
    failed: ({ taskId, generation }, thrown) =>
      log.error('could not send a report; trying again later', { task_id: taskId, generation, error: messageOf(thrown) }),
    bufferedBytes: () => connection?.bufferedBytes() ?? 0,
    // The repeat delay counts from the moment the report has left the socket, which may be late on a slow link.
    reportFlushed: (assignment) => timers.restart({ purpose: 'repeat', assignment }),
  });

  function connect(effect: Extract<AfterPersistEffect, { readonly type: 'connect' }>): void {
    const { connectionId, url, frameBytesMax } = effect;
    disconnect();
    /** Of frames, with what each costs besides. */
    let waiting = 0;
    let isPaused = false;
    const opened = options.link.connect(
      { url, frameBytesMax },
      {
        onOpen: () => void linkUp(connectionId),
        onFrame(text) {
          const cost = text.length + FRAME_COST;
          waiting += cost;
          if (!isPaused && waiting > FRAMES_WAITING_MAX) {
            isPaused = true;
            opened.pause?.();
          }
          options.take(frameInput(connectionId, text), () => {
            waiting -= cost;
            if (!isPaused || waiting > FRAMES_WAITING_MAX / 2) return;
            isPaused = false;
            opened.resume?.();
          });
        },
        onTaken: reports.onFlushed,
        onGone: (code, reason) => deliver({ type: 'link_down', connectionId, code, reason }),
      },
    );
    connection = opened;
  }

  /** The token may have been replaced since the last connection. If it cannot be read, the last token may still be valid. */
  async function linkUp(connectionId: number): Promise<void> {
    const up = { type: 'link_up', connectionId, nonce: ids.secret() } as const;
    if (options.readToken === undefined) return deliver(up);
    let token: string | null = null;
    try {
      token = await options.readToken();
    } catch (thrown) {
      log.warn('could not reread the token; using the last one', { error: messageOf(thrown) });
    }
    if (token !== null) options.onSecret(token);
    deliver(token === null ? up : { ...up, token });
  }

  function frameInput(connectionId: number, text: string): SidecarInput {
    const parsed = parseFrame(text);
    if (parsed.kind === 'frame') return { type: 'frame', connectionId, frame: parsed.frame };
    return { type: 'bad_frame', connectionId, logFields: badFrameOf(parsed) };
  }

  /** The body of an end report is on disk, so without room in the socket the frame is dropped here and read again later. */
  function send(frame: V2Frame, text?: string): void {
    const isEnd = frame.type === 'task_complete' || frame.type === 'task_failed';
    const end = isEnd ? assignmentIdIn(frame) : null;
    if (end !== null && !hasRoom()) {
      void reports.enqueue(end);
      return;
    }
    // Live output never fills a slow link: reports need it.
    if (connection === null || (frame.type === 'task_output' && !hasRoom())) return;
    reports.onWritten(end);
    connection.send(text ?? JSON.stringify(frame));
  }

  /** Awaited, so that a hub that offers many tasks has to wait and no inbox fills up. */
  async function judge({ connectionId, frame }: Extract<AfterPersistEffect, { readonly type: 'checkSignature' }>): Promise<void> {
    if (options.signatures === undefined) return;
    const signature = await checkSignature(frame, options.signatures, options.settings, clock.nowMs());
    deliver({ type: 'frame', connectionId, frame, signature });
  }

  function awaitTurn(assignment: AssignmentId): void {
    awaited.push(assignment);
    if (awaited.length > 1) return;
    options.afterTurn?.(() => {
      // Those that arrive from now on begin in a later turn.
      const assignments = awaited;
      awaited = [];
      options.afterTurn?.(() => deliver({ type: 'turn_over', assignments }));
    });
  }

  function disconnect(isLeaving = false): void {
    reports.clear();
    if (isLeaving && connection?.leave !== undefined) connection.leave();
    else connection?.destroy();
    connection = null;
  }

  async function prepare(assignment: AssignmentId, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<void> {
    try {
      const paths = await results.prepare(assignment, task, publish);
      if (!publish) deliver({ type: 'prepared', assignment, paths, runId: ids.random('run') });
    } catch (thrown) {
      deliver({ type: 'prepare_failed', assignment, paths: results.pathsOf(assignment), message: messageOf(thrown) });
    }
  }

  /**
   * Not awaited: a result that is still being written may take a while. A folder that cannot be read is not an empty
   * one, since it may hold a finished result: the scan is retried, and finally reported as an invalid result.
   */
  async function scan(assignment: AssignmentId, number: number, tries = 1): Promise<void> {
    try {
      await results.scan(assignment);
    } catch (thrown) {
      const message = `the results folder cannot be read: ${messageOf(thrown)}`;
      log.warn('could not scan for results', { task_id: assignment.taskId, tries, error: messageOf(thrown) });
      if (scans === null) return;
      if (tries < SCAN_ATTEMPTS_MAX) {
        const timer = clock.after(SCAN_RETRY_MS, () => {
          scans?.delete(timer);
          void scan(assignment, number, tries + 1);
        });
        scans.add(timer);
        return;
      }
      deliver({ type: 'file_event', event: { kind: 'invalid', assignment, reason: 'result_invalid', message } });
    }
    deliver({ type: 'scanned', assignment, scan: number });
  }

  /** With a wake runner nothing was published, so withdrawing only leaves a note for the agent, which may fail. */
  async function withdraw(assignment: AssignmentId): Promise<void> {
    if (options.runner === undefined) return await results.withdraw(assignment);
    await tryTo('notify an agent that its assignment is no longer valid', () => results.withdraw(assignment));
  }

  async function measureDisk({ unread, read }: Extract<AfterPersistEffect, { readonly type: 'measureDisk' }>): Promise<void> {
    const room = await journal.room();
    let refusedBytes = room.refusedBytes;
    for (const assignment of unread) refusedBytes += await results.keptBytes(assignment);
    deliver({ type: 'disk_measured', ...room, refusedBytes });
    const sizes: number[] = [];
    for (const assignment of read) sizes.push(await results.keptBytes(assignment));
    let bytes = sizes.reduce((sum, each) => sum + each, 0);
    // Always keep the newest: the streams of a run are bounded.
    for (let place = 0; bytes > KEPT_BYTES_MAX && place < read.length - 1; place += 1) {
      bytes -= sizes[place] as number;
      if ((sizes[place] as number) > 0) await removals.remove(read[place] as AssignmentId);
    }
  }

  /** One at a time, behind pending removals; there may be ten thousand folders. */
  async function findFolders(): Promise<void> {
    for (const found of await results.listFolders()) {
      await removals.done();
      await processed({ type: 'folders_found', ...found });
    }
  }

  /** Reads the body of a report; the step that gets it sends it. */
  async function readAndSend(assignment: AssignmentId): Promise<void> {
    await processed({ type: 'report_read', assignment, body: await storedBody(assignment) });
  }

  async function storedBody(assignment: AssignmentId): Promise<StoredBody> {
    try {
      const text = await journal.readReport(assignment);
      return text === null ? { kind: 'missing' } : { kind: 'found', text };
    } catch (thrown) {
      return { kind: 'unreadable', error: messageOf(thrown) };
    }
  }

  /** Not awaited: checks may take seconds. */
  async function check(): Promise<void> {
    if (options.runner !== undefined) deliver({ type: 'runner_checked', checks: await runChecks(options.runner, options) });
  }

  /** For work that may fail without harm: logs the error and continues. */
  async function tryTo(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      log.warn(`could not ${what}`, { error: messageOf(thrown) });
    }
  }

  /** Runs an effect that is done when this returns, or that reports its outcome by itself later. */
  function runAtOnce(
    effect: Exclude<AfterPersistEffect, { readonly type: 'measureDisk' | 'prepare' | 'publish' | 'withdrawAllExcept' | 'checkSignature' }>,
  ): void {
    switch (effect.type) {
      case 'connect':
        return connect(effect);
      case 'disconnect':
        return disconnect(effect.leaving === true);
      case 'send':
        return send(effect.frame, effect.text);
      case 'awaitTurn':
        return awaitTurn(effect.assignment);
      case 'readReport':
        return void reports.enqueue(effect.assignment);
      case 'check':
        return void check();
      case 'findFolders':
        return void tryTo('look for orphaned folders', findFolders);
      case 'watch':
        return results.watch(effect.assignment, effect.flat);
      case 'scan':
        return void scan(effect.assignment, effect.scan);
      case 'wake':
        return runs.wake(effect.request);
      case 'attach':
        return runs.attach(effect.run, effect.stop);
      case 'kill':
        return runs.kill(effect.runId, effect.reason);
      case 'startTimer':
        return timers.start(effect.timer, effect.delayMs);
      case 'cancelTimer':
        return timers.cancel(effect.timer);
      case 'cancelTimersOf':
        return timers.cancelOf(effect.assignment, effect.purposes);
      case 'log':
        return log[effect.level](effect.message, effect.fields);
      case 'ready':
        return onReady();
      case 'drained':
        return options.onDrained();
      case 'stopped':
        return onStopped();
    }
  }

  return {
    runDurable(effect) {
      switch (effect.type) {
        case 'persist':
          return journal.save(effect.journal);
        case 'writeReport':
          return journal.writeReport(effect.assignment, effect.text);
        case 'refuseReport':
          return journal.refuseReport(effect.assignment, effect.reason);
        case 'removeReport':
          return journal.removeReport(effect.assignment);
        case 'withdraw':
          return withdraw(effect.assignment);
        case 'unwatch':
          return void results.unwatch(effect.assignment);
        case 'keepResult':
          return removals.remove(effect.assignment, () => results.keepResult(effect.assignment, effect.streams));
        case 'removeFiles':
          return removals.remove(effect.assignment);
      }
    },

    runAfterPersist(effect) {
      switch (effect.type) {
        case 'checkSignature':
          return judge(effect);
        case 'measureDisk':
          return tryTo('measure disk usage', () => measureDisk(effect));
        case 'prepare':
          return prepare(effect.assignment, effect.task, false);
        case 'publish':
          return prepare(effect.assignment, effect.task, true);
        case 'withdrawAllExcept':
          return tryTo('withdraw published tasks', () => results.withdrawAllExcept(effect.assignments));
        default:
          return void runAtOnce(effect);
      }
    },

    removalsDone: removals.done,
    runsOver: runs.over,

    close() {
      timers.close();
      for (const timer of scans ?? []) timer.cancel();
      scans = null;
      removals.close();
      disconnect();
      runs.detach();
    },
  };
}
