/** `agentcom doctor`: what is wrong with the hub and sidecar in the config, and what to do about it. Read-only. */
import type { Command } from 'commander';
import type { ConfigProblem, ResolvedConfig } from '../../../core/config/config.ts';
import { AgentcomError, withoutStop } from '../../../core/errors/agentcom-error.ts';
import type { Action, Context } from '../cli-context.ts';
import type { Examined, Finding } from '../doctor/finding.ts';
import { givenUrl } from '../connect.ts';
import { EXIT_UNHEALTHY } from '../exit-codes.ts';
import { progressOn } from '../output/progress.ts';

/** Findings of one kind that are printed; the rest are only counted. */
const PRINTED_PER_KIND = 20;
/** The most findings in the JSON output. */
const FINDINGS_MAX = 10_000;

export function addDoctor(program: Command, action: Action): void {
  program
    .command('doctor')
    .description('Find what is wrong on this machine and say what to do: config, storage, port, hub, token, clock, agent program')
    .option('--fsck', "read every row of the hub's storage and check every invariant, even while the hub runs")
    .option('--agent <agent>', 'ask the hub to have this agent run its checks, and show the results')
    .action(action(doctor));
}

interface DoctorOptions {
  readonly fsck?: boolean;
  readonly agent?: string;
}

async function doctor(context: Context, options: DoctorOptions): Promise<void> {
  if (options.agent !== undefined) return doctorOfAgent(context, options.agent);
  const { output, common, environment, exitWith } = context;
  const { env } = environment;
  const progress = progressOn(environment, output.json);
  const findings: Finding[] = [];
  const counts = new Map<Finding['check'], number>();
  const examined: Examined[] = [];
  let errors = 0;
  const onFinding = (found: Finding): void => {
    counts.set(found.check, (counts.get(found.check) ?? 0) + 1);
    if (found.severity === 'error') errors += 1;
    if (findings.length < FINDINGS_MAX) findings.push(found);
  };

  const { examine, examineWithoutConfig } = await import('../doctor/examine.ts');
  const onProgress = (seen: string): void => progress.at(`${seen} …`);
  const connection = { options: common, environment };
  const loaded = await loadedConfig(context);
  for (const found of loaded.findings) onFinding(found);
  const settings = { fsck: options.fsck === true, env, onFinding, onProgress };
  const parts = loaded.config === null ? examineWithoutConfig(settings, connection) : examine({ ...loaded, ...settings }, connection);
  for await (const part of parts) examined.push(part);
  progress.end();

  output.data({
    config: loaded.file,
    ok: errors === 0,
    examined: examined.map(({ what, seen }) => ({ what, seen })),
    counts: Object.fromEntries(counts),
    findings: findings.map(({ check, severity, what, hint, taskId, agentId }) => ({
      check,
      severity,
      task_id: taskId,
      agent_id: agentId,
      found: what,
      hint,
    })),
  });
  for (const { what, seen } of examined) output.line(`${what} (checked: ${seen})`, 'grey');
  for (const group of groupsOf(findings)) printFindings(output, group);
  const found = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (found > findings.length) output.line(`\nand ${found - findings.length} more findings`);
  if (errors > 0) return exitWith(EXIT_UNHEALTHY);
  output.line(options.fsck === true ? 'No errors found: every row was read.' : 'No errors found.', 'green');
}

type LoadedConfig =
  | { readonly file: string; readonly config: ResolvedConfig; readonly findings: readonly Finding[] }
  | { readonly file: null; readonly config: null; readonly findings: readonly Finding[] };

/** A config that cannot be used becomes a finding, or one finding per mistake. */
async function loadedConfig({ common, environment }: Context): Promise<LoadedConfig> {
  const { finding: findingAbout, findingOf } = await import('../doctor/finding.ts');
  const { findConfigFile } = await import('../../config/find-file.ts');
  const { loadConfigFile } = await import('../../config/load.ts');
  const isMissing = { file: null, config: null } as const;
  try {
    const { file, config } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
    return { file, config, findings: [] };
  } catch (thrown) {
    // A user who names the hub needs no config.
    const isOptional = common.config === undefined && givenUrl(common, environment.env) !== undefined;
    if (AgentcomError.is(thrown, 'AC_CONFIG_NOT_FOUND')) return { ...isMissing, findings: isOptional ? [] : [findingOf('config', thrown)] };
    const file = findConfigFile(common.config, environment.cwd);
    const problems = AgentcomError.is(thrown) ? (thrown.details?.['problems'] as readonly ConfigProblem[] | undefined) : undefined;
    const mistakes = problems?.map(({ path, message }) =>
      findingAbout('config', `${path}: ${withoutStop(message)}`, { hint: `Correct ${path} in ${file}.` }),
    );
    return { ...isMissing, findings: mistakes ?? [findingOf('config', thrown, { hint: `Correct ${file}.` })] };
  }
}

/** Checks an agent on any machine, through the hub. */
async function doctorOfAgent({ output, hub, exitWith }: Context, agentId: string): Promise<void> {
  const { examineAgent } = await import('../doctor/examine-agent.ts');
  const { agent, isFresh } = await examineAgent(await hub(), agentId);
  const { checks = null, paused_reason: pausedReason } = agent;
  const isWell = agent.connected && checks !== null && checks.ok && pausedReason === null;
  output.data({ ...agent, checked_now: isFresh });
  output.line(`${agentId}: ${agent.status}`, isWell ? 'green' : 'red');
  if (!agent.connected) output.line('  Its sidecar is not connected. Start it, and run `agentcom doctor` on its machine.');
  if (checks === null) output.line('  It has not reported any checks yet.');
  else if (!isFresh)
    output.line(`  It did not answer; its results of ${output.times.moment(checks.reported_at)} ${output.times.zone}:`, 'yellow');
  for (const { check, message } of checks?.failed ?? []) output.line(`  ${check}: ${message}`, 'red');
  for (const { check, message } of checks?.passed ?? []) output.line(`  ${check}: ${message}`, 'grey');
  if (pausedReason !== null && agent.paused_cause !== 'checks')
    output.line(`  It is paused: ${pausedReason}. Once that is fixed: agentcom resume ${agentId}`, 'yellow');
  if (!isWell) exitWith(EXIT_UNHEALTHY);
}

/** The findings grouped by kind and hint, in the order in which each group first occurs. */
function groupsOf(findings: readonly Finding[]): readonly (readonly Finding[])[] {
  const groups = new Map<string, Finding[]>();
  for (const found of findings) {
    const name = `${found.check} ${found.hint}`;
    const group = groups.get(name) ?? [];
    groups.set(name, group);
    group.push(found);
  }
  return [...groups.values()];
}

function printFindings(output: Context['output'], group: readonly Finding[]): void {
  const [first] = group;
  if (first === undefined) return;
  const { check, severity, hint } = first;
  output.line('');
  output.line(`${check}: ${severity}`, severity === 'notice' ? 'yellow' : 'red');
  for (const { what, taskId, agentId } of group.slice(0, PRINTED_PER_KIND)) {
    const whose = [taskId, agentId].filter((name) => name !== null).join(', ');
    output.line(`  ${whose === '' ? '' : `${whose}: `}${what}`);
  }
  if (group.length > PRINTED_PER_KIND) output.line(`  and ${group.length - PRINTED_PER_KIND} more`);
  output.line(`  What to do: ${hint}`);
}
