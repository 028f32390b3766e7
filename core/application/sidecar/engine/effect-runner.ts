/** Carries the effects out over the ports. */
import { messageOf } from '../../../errors/agentcom-error.ts';
import type { Generation, TaskId } from '../../../domain/ids.ts';
import type { Assignment } from '../../../domain/assignment/slot.ts';
import type { Timer } from '../../../ports/clock.ts';
import type { LinkConnection } from '../../../ports/hub-link.ts';
import { frameReader } from '../../../protocol/frame-reader.ts';
import { hubSchemas, type HubFrame } from '../../../protocol/hub-frames.ts';
import type { V2Frame } from '../../../protocol/sidecar-frames.ts';
import { KEPT_BYTES_MAX, LOOK_RETRY_MS, LOOK_TRIES_MAX, REMOVALS_WAITING_MAX, REMOVE_RETRY_MS, SOCKET_BYTES_MAX } from '../state/bounds.ts';
import type { DurableEffect, OutwardEffect, PersistEffect } from '../state/effects.ts';
import type { Event } from '../state/inputs.ts';
import { badFrameOf } from '../link/bad-frame.ts';
import type { SidecarPorts } from '../state/ports.ts';
import { pacedReports } from '../report/paced-reports.ts';
import { runChecks } from '../health/run-checks.ts';
import { followRuns } from '../run/runs.ts';
import { timerKey, type TimerName } from '../state/timer-names.ts';

/** Its schemas are compiled once, whatever is started and stopped. */
const readFrame = frameReader<HubFrame>(hubSchemas);

export interface CarryOut {
  durably(effect: DurableEffect | PersistEffect): Promise<void>;
  outwardly(effect: OutwardEffect): Promise<void>;
  /** Answers once the files of all that ended by now are removed, or could not be. */
  removed(): Promise<void>;
  /** Lets go of timers, connection and runs. */
  leave(): void;
}

export interface CarryOutOptions extends SidecarPorts {
  readonly deliver: (event: Event) => Promise<void>;
  readonly onReady: () => void;
  readonly onStopped: () => void;
}

export function carryOut(options: CarryOutOptions): CarryOut {
  const { journal, results, clock, ids, log, onReady, onStopped } = options;
  /** Fire and forget: nothing waits for an input but a run's stream. */
  const deliver = (event: Event): void => void options.deliver(event);
  const runs = followRuns(options, options.deliver);
  const timers = new Map<string, { readonly timer: Timer; readonly delayMs: number }>();
  /** Looks that are to be tried again. */
  const looks = new Set<Timer>();
  const removals = new Set<Timer>();
  /** Ends once all that is to be removed by now was tried: one after the other, beside everything else. */
  let removed: Promise<void> = Promise.resolve();
  let removing = 0;
  let connection: LinkConnection | null = null;
  const hasRoom = (): boolean => (connection?.bufferedBytes() ?? 0) < SOCKET_BYTES_MAX;
  const reports = pacedReports({ hasRoom, read: readReport, bufferedBytes: () => connection?.bufferedBytes() ?? 0, onLeft: waitAnew });

  function connect(effect: Extract<OutwardEffect, { readonly type: 'connect' }>): void {
    const { link, url, frameBytesMax } = effect;
    disconnect();
    connection = options.link.connect(
      { url, frameBytesMax },
      {
        onOpen: () => deliver({ type: 'link_up', link, nonce: ids.secret() }),
        onFrame: (text) => deliver(frameEvent(link, text)),
        onTaken: reports.taken,
        onGone: (code, reason) => deliver({ type: 'link_down', link, code, reason }),
      },
    );
  }

  function frameEvent(link: number, text: string): Event {
    const read = readFrame(text);
    if (read.kind === 'frame') return { type: 'frame', link, frame: read.frame };
    return { type: 'bad_frame', link, what: badFrameOf(read) };
  }

  /** The end of an assignment is on the disk: where the socket has no room for it, it is read when there is. */
  function send(frame: V2Frame): void {
    const isEnd = frame.type === 'task_complete' || frame.type === 'task_failed';
    const end = isEnd ? { taskId: frame.task_id as TaskId, generation: frame.generation as Generation } : null;
    if (end !== null && !hasRoom()) {
      void reports.want(end);
      return;
    }
    if (connection === null) return;
    reports.sent(end);
    connection.send(JSON.stringify(frame));
  }

  function disconnect(): void {
    reports.clear();
    connection?.destroy();
    connection = null;
  }

  function startTimer(timer: TimerName, delayMs: number): void {
    const key = timerKey(timer);
    timers.get(key)?.timer.cancel();
    const started: Timer = clock.after(delayMs, () => {
      // One that was replaced is another's by now.
      if (timers.get(key)?.timer !== started) return;
      timers.delete(key);
      deliver({ type: 'timer', timer });
    });
    timers.set(key, { timer: started, delayMs });
  }

  /** A report is said again so long after it has left the socket, not after it was put there: on a slow line that is long. */
  function waitAnew(name: Assignment): void {
    const timer: TimerName = { purpose: 'repeat', name };
    const running = timers.get(timerKey(timer));
    if (running !== undefined) startTimer(timer, running.delayMs);
  }

  function cancelTimer(timer: TimerName): void {
    timers.get(timerKey(timer))?.timer.cancel();
    timers.delete(timerKey(timer));
  }

  async function prepare(name: Assignment, task: Readonly<Record<string, unknown>>, publish: boolean): Promise<void> {
    try {
      const paths = await results.prepare(name, task, publish);
      if (!publish) deliver({ type: 'prepared', name, paths, runId: ids.random('run') });
    } catch (thrown) {
      deliver({ type: 'prepare_failed', name, paths: results.placeOf(name), message: messageOf(thrown) });
    }
  }

  /**
   * Not awaited: it may take as long as a result that is still being written. A folder that cannot be looked at now is no empty
   * one: a finished result may lie there, so it is looked at again, and in the end given up as it stands.
   */
  async function look(name: Assignment, number: number, tries = 1): Promise<void> {
    try {
      await results.look(name);
    } catch (thrown) {
      const message = `Its results folder cannot be looked at: ${messageOf(thrown)}`;
      log.warn('could not look for results', { task_id: name.taskId, tries, error: messageOf(thrown) });
      if (tries < LOOK_TRIES_MAX) {
        const timer = clock.after(LOOK_RETRY_MS, () => {
          looks.delete(timer);
          void look(name, number, tries + 1);
        });
        looks.add(timer);
        return;
      }
      deliver({ type: 'sighting', sighting: { kind: 'invalid', name, reason: 'result_invalid', message } });
    }
    deliver({ type: 'looked', name, look: number });
  }

  /** A task that nobody published needs no taking back: then it is a word to an agent, in a folder of the agent's. */
  async function withdraw(name: Assignment): Promise<void> {
    if (options.runner === undefined) return await results.withdraw(name);
    await attempt('tell an agent that its assignment is gone', () => results.withdraw(name));
  }

  /**
   * Not awaited: an agent may leave a million files, and all other tasks would wait until they are gone. Only where too many
   * assignments wait for it does the next thing wait too.
   */
  function removeBeside(name: Assignment, work?: () => Promise<void>): Promise<void> {
    removing += 1;
    removed = removed.then(() => remove(name, work)).then(() => void (removing -= 1));
    return removing > REMOVALS_WAITING_MAX ? removed : Promise.resolve();
  }

  /** What an agent has made such that it cannot be removed may be removed later; it is in nobody's way. */
  async function remove(name: Assignment, work = (): Promise<void> => results.remove(name)): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const fields = { task_id: name.taskId, generation: name.generation, error: messageOf(thrown) };
      if (removals.size >= REMOVALS_WAITING_MAX) return log.warn('could not remove the files of an assignment; they stay', fields);
      log.warn('could not remove the files of an assignment; trying again later', { ...fields, retry_ms: REMOVE_RETRY_MS });
      const timer = clock.after(REMOVE_RETRY_MS, () => {
        removals.delete(timer);
        void removeBeside(name, work);
      });
      removals.add(timer);
    }
  }

  async function measureRoom({ unread, read }: Extract<OutwardEffect, { readonly type: 'measureRoom' }>): Promise<void> {
    const room = await journal.room();
    let refusedBytes = room.refusedBytes;
    for (const name of unread) refusedBytes += await results.keptBytes(name);
    deliver({ type: 'room_measured', ...room, refusedBytes });
    const sizes: number[] = [];
    for (const name of read) sizes.push(await results.keptBytes(name));
    let bytes = sizes.reduce((sum, each) => sum + each, 0);
    // The newest stays, whatever it takes: a run's streams are bounded.
    for (let place = 0; bytes > KEPT_BYTES_MAX && place < read.length - 1; place += 1) {
      bytes -= sizes[place] as number;
      if ((sizes[place] as number) > 0) await removeBeside(read[place] as Assignment);
    }
  }

  /** One at a time, behind what is being removed: there may be ten thousand. */
  async function findFolders(): Promise<void> {
    for (const found of await results.folders()) {
      await removed;
      await options.deliver({ type: 'folders_found', ...found });
    }
  }

  async function readReport(name: Assignment): Promise<void> {
    try {
      await options.deliver({ type: 'report_read', name, text: await journal.readReport(name), error: null });
    } catch (thrown) {
      await options.deliver({ type: 'report_read', name, text: null, error: messageOf(thrown) });
    }
  }

  /** Not awaited: it may take its seconds. */
  async function check(): Promise<void> {
    if (options.runner !== undefined) deliver({ type: 'checked', checks: await runChecks(options.runner, options) });
  }

  /** For what may fail without harm: it is told, and what follows goes on. */
  async function attempt(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      log.warn(`could not ${what}`, { error: messageOf(thrown) });
    }
  }

  return {
    async durably(effect) {
      switch (effect.type) {
        case 'persist':
          return await journal.save(effect.journal);
        case 'writeReport':
          return await journal.writeReport(effect.name, effect.text);
        case 'refuseReport':
          return await journal.refuseReport(effect.name, effect.reason);
        case 'removeReport':
          return await journal.removeReport(effect.name);
        case 'withdraw':
          return await withdraw(effect.name);
        case 'forget':
          return results.forget(effect.name);
        case 'keepResult':
          return await removeBeside(effect.name, () => results.keep(effect.name, effect.streams));
        case 'removeFiles':
          return await removeBeside(effect.name);
      }
    },

    async outwardly(effect) {
      switch (effect.type) {
        case 'connect':
          return connect(effect);
        case 'disconnect':
          return disconnect();
        case 'send':
          return send(effect.frame);
        case 'measureRoom':
          return await attempt('measure the room of the journal', () => measureRoom(effect));
        case 'readReport':
          return void reports.want(effect.name);
        case 'check':
          return void check();
        case 'prepare':
          return await prepare(effect.name, effect.task, false);
        case 'publish':
          return await prepare(effect.name, effect.task, true);
        case 'withdrawAllBut':
          return await attempt('take back published tasks', () => results.withdrawAllBut(effect.names));
        case 'findFolders':
          return void attempt('look for what earlier processes left', findFolders);
        case 'expect':
          return results.expect(effect.name, effect.flat);
        case 'look':
          return void look(effect.name, effect.look);
        case 'wake':
          return runs.wake(effect.request);
        case 'attach':
          return runs.attach(effect.run, effect.stop);
        case 'kill':
          return runs.kill(effect.runId, effect.reason);
        case 'startTimer':
          return startTimer(effect.timer, effect.delayMs);
        case 'cancelTimer':
          return cancelTimer(effect.timer);
        case 'log':
          return log[effect.level](effect.message, effect.fields);
        case 'ready':
          return onReady();
        case 'stopped':
          return onStopped();
      }
    },

    removed: () => removed,

    leave() {
      for (const { timer } of timers.values()) timer.cancel();
      timers.clear();
      for (const timer of looks) timer.cancel();
      looks.clear();
      for (const timer of removals) timer.cancel();
      removals.clear();
      disconnect();
      runs.leave();
    },
  };
}
