/** The log of a program on standard error: JSON, or lines for people on a terminal. `AGENTCOM_LOG_LEVEL` sets how much. */
import { pinoLog } from '../adapters/log-pino/pino-log.ts';
import { AgentcomError } from '../core/errors/agentcom-error.ts';
import type { Log } from '../core/ports/log.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export function programLog(program: 'hub' | 'sidecar'): Log {
  const wanted = process.env['AGENTCOM_LOG_LEVEL'] ?? 'info';
  const level = LEVELS.find((one) => one === wanted);
  if (level === undefined) {
    throw new AgentcomError(
      'AC_ENV_INVALID',
      `AGENTCOM_LOG_LEVEL is "${wanted}", expected one of ${LEVELS.join(', ')}. Correct or unset it.`,
    );
  }
  return pinoLog({ level, isReadable: process.stderr.isTTY, isTogether: true }).with({ program });
}
