/** The sidecar as a program: config, enrollment, container, lifecycle, signals. */
import 'reflect-metadata';
import { Container } from 'inversify';
import { redactingLog, createRedactor, SECRETS_MAX } from '../../core/application/sidecar/engine/redact-secrets.ts';
import type { ResolvedConfig, ResolvedSidecarConfig } from '../../core/config/config.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Log } from '../../core/ports/log.ts';
import { loadConfigFile } from '../config/load.ts';
import { makeDataDir } from '../data-dir.ts';
import { machineModule } from '../modules/machine.module.ts';
import { programLog } from '../program-log.ts';
import { runProgram, type Running, type RunningProgram } from '../run-program.ts';
import { TOKENS } from '../container-tokens.ts';
import { sidecarIdentity, type SidecarIdentity } from './enrolment.ts';
import { dropOwnVariables, hideEnvironment } from './hidden-environment.ts';
import { adaptersModule } from './modules/adapters.module.ts';
import { coreModule } from './modules/core.module.ts';
import { secretsOf } from './sidecar-secrets.ts';

/** Time to send the last reports; the sidecar stops trying slightly earlier. Milliseconds. */
const STOP_MS = 10_000;

export interface RunSidecarOptions {
  /** `--config FILE`. */
  readonly configFile?: string | undefined;
}

/** Runs a sidecar until a signal stops it. Throws if it cannot start. */
export async function runSidecar(options: RunSidecarOptions): Promise<void> {
  const { config, file } = await loadConfigFile({ configFile: options.configFile });
  const part = sidecarPart(config, file);
  const log = programLog('sidecar').with({ agent_id: part.agentId });
  hideEnvironment(log, [part.token ?? '', config.hub?.adminToken ?? '']);
  await runProgram({ log, stopEachMs: STOP_MS, start: (program) => startSidecar(config, part, log, program) });
}

/** The container of a sidecar with this config; nothing is opened. */
export function sidecarContainer(
  config: ResolvedSidecarConfig,
  options: Pick<SidecarIdentity, 'token'> &
    Partial<Pick<SidecarIdentity, 'trust' | 'readToken'>> & {
      readonly baseDir: string;
      readonly log: Log;
      readonly secrets?: readonly string[] | undefined;
    },
): Container {
  const { baseDir, token, readToken = null, trust = {}, secrets = [] } = options;
  const container = new Container();
  const redactor = createRedactor(secrets);
  const log = secrets.length === 0 && readToken === null ? options.log : redactingLog(options.log, redactor);
  const read = async (): Promise<string | null> => {
    const newest = (await readToken?.()) ?? null;
    if (newest !== null) redactor.add(newest);
    return newest;
  };
  const identity = { token, readToken: readToken === null ? undefined : read };
  container.load(machineModule(log), adaptersModule(config, { baseDir, trust }), coreModule(identity, secrets));
  return container;
}

async function startSidecar(
  config: ResolvedConfig,
  part: ResolvedSidecarConfig,
  log: Log,
  program: RunningProgram,
): Promise<Running | null> {
  await makeDataDir(part.dataDir, 'set sidecar.dataDir (AGENTCOM_SIDECAR_DIR)');
  const { token, readToken, trust } = await sidecarIdentity({ config: part, hub: config.hub ?? null, log, signal: program.stopping });
  const secrets = secretsOf(part, token, process.env);
  dropOwnVariables();
  if (secrets.length > SECRETS_MAX)
    log.warn('too many secrets: the shortest are not redacted', { found: secrets.length, max: SECRETS_MAX });
  const container = sidecarContainer(part, { baseDir: config.baseDir, token, readToken, trust, log, secrets });
  const sidecar = await container.getAsync(TOKENS.Sidecar);
  const outcome = await program.lifecycle.start([{ name: 'sidecar', start: () => sidecar.start(), stop: () => sidecar.stop() }]);
  if (outcome === 'stopped') return null;
  return { ready: sidecar.ready.then(() => `agentcom sidecar ready ${part.agentId}`), finished: sidecar.finished };
}

function sidecarPart(config: ResolvedConfig, file: string): ResolvedSidecarConfig {
  if (config.sidecar !== undefined) return config.sidecar;
  throw new AgentcomError(
    'AC_CONFIG_INVALID',
    `${file} has no "sidecar" section, which \`agentcom sidecar\` needs. Add sidecar: { hubs: ["ws://127.0.0.1:4000/ws"], agentId: "worker-1" }.`,
  );
}
