/** Notifies systemd when a program is ready, while it is alive, and when it stops. Does nothing unless a service manager expects it. */
import { execFile } from 'node:child_process';
import type { Log } from '../../core/ports/log.ts';

export interface ServiceNotifier {
  /** Started; it may still be waiting for others. */
  started(): void;
  /** For people. */
  status(text: string): void;
  stopping(): void;
}

const NO_MANAGER: ServiceNotifier = { started: () => undefined, status: () => undefined, stopping: () => undefined };

/** Node has no datagram sockets of this kind, so systemd's own program sends the messages. */
const PROGRAM = 'systemd-notify';

export function serviceNotifier(env: Readonly<Record<string, string | undefined>>, log: Log): ServiceNotifier {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid, PATH: path } = env;
  if (socket === undefined || socket === '') return NO_MANAGER;
  let hasFailed = false;
  const say = (...args: readonly string[]): void => {
    execFile(PROGRAM, args, { env: { NOTIFY_SOCKET: socket, PATH: path }, timeout: 10_000 }, (error) => {
      if (error === null || hasFailed) return;
      hasFailed = true;
      log.warn('the service manager expects notifications, which cannot be sent: use Type=exec and no WatchdogSec in its unit', {
        error: error.message,
      });
    });
  };
  const isOurs = watchdogPid === undefined || watchdogPid === String(process.pid);
  const everyMs = isOurs ? Math.floor(Number(watchdogUs ?? '') / 3_000) : 0;
  let watchdog: ReturnType<typeof setInterval> | undefined;
  return {
    started() {
      say('READY=1');
      if (everyMs > 0) watchdog = setInterval(() => say('WATCHDOG=1'), everyMs).unref();
    },
    status: (text) => say(`STATUS=${text}`),
    stopping() {
      clearInterval(watchdog);
      say('STOPPING=1');
    },
  };
}
