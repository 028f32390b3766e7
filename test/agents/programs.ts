/** The agent programs that are tried, how each is pointed to the made-up model, and what is known of each. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NpmProgram } from './install.ts';

/** Where one program runs in one case. */
export interface AgentPlace {
  /** Its file, with PATH as it wants it. */
  readonly file: string;
  readonly path: string;
  /** Both its own, and empty at first. */
  readonly home: string;
  readonly cwd: string;
  readonly modelUrl: string;
  readonly key: string;
}

/** The name of a runner in `agentcom/runners`, and its options. */
export type Wake = readonly [name: string, options: Readonly<Record<string, unknown>>];

export interface AgentProgram {
  /** On the command line and in the table. */
  readonly name: string;
  readonly npm: NpmProgram;
  wake(place: AgentPlace): Promise<Wake>;
  /** Where it keeps sessions, in its home; undefined: it has none to go on with. */
  readonly sessions?: string;
  /** Why a session that was broken off a moment ago cannot be gone on with, where it cannot. */
  readonly losesFreshSessions?: string;
  /** Why its runs cannot be taken up by another sidecar, where they cannot. */
  readonly notAdoptable?: string;
  /** What the usage of a run that ends well is of: all its calls, those of the work alone, or nothing that could be told. */
  readonly usageOf: 'all' | 'work' | 'nothing';
  /** Whether it tells what it has used before its result, so that a run which is killed counts too. */
  readonly tellsUsageEarly: boolean;
  /** Whether its failures tell that nothing was done yet, so that they spend no attempt. */
  readonly tellsWhetherItWorked: boolean;
  /** Statuses of its model after which it tries again for longer than anybody waits. */
  readonly triesOnAfter: readonly number[];
  /** Whether it says that it tries again. */
  readonly tellsRetries: boolean;
  /** Between two words of it in a run where all is well, milliseconds, with room. */
  readonly idleMs: number;
}

const MODEL = 'made-up';

const CLAUDE: NpmProgram = { package: '@anthropic-ai/claude-code', version: '2.1.328', bin: 'claude' };
const CODEX: NpmProgram = { package: '@openai/codex', version: '0.169.0', bin: 'codex' };
const GEMINI: NpmProgram = { package: '@google/gemini-cli', version: '0.61.0', bin: 'gemini' };
const OPENCODE: NpmProgram = { package: 'opencode-ai', version: '1.18.33', bin: 'opencode' };
/** It refuses older ones, at its install and at its start. */
const NODE_OF_OPENCLAW: NpmProgram = { package: 'node', version: '24.21.0', bin: 'node' };
const OPENCLAW: NpmProgram = { package: 'openclaw', version: '2026.9.6', bin: 'openclaw', node: NODE_OF_OPENCLAW };

const environment = ({ home, path }: AgentPlace) => ({ HOME: home, PATH: path, TMPDIR: join(home, 'tmp') });

async function geminiEnvironment(place: AgentPlace) {
  const { home, key, modelUrl } = place;
  await mkdir(join(home, '.gemini'), { recursive: true });
  // Without it another address of the model is taken for another way to log in.
  await writeFile(join(home, '.gemini/settings.json'), JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } } }));
  return { ...environment(place), GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: modelUrl };
}

const opencodeConfig = ({ key, modelUrl }: AgentPlace) => ({
  provider: {
    fake: {
      npm: '@ai-sdk/openai-compatible',
      name: 'fake',
      options: { baseURL: `${modelUrl}/v1`, apiKey: key },
      models: { [MODEL]: { name: MODEL, limit: { context: 100_000, output: 8_000 } } },
    },
  },
  model: `fake/${MODEL}`,
  small_model: `fake/${MODEL}`,
});

const opencodeEnvironment = (place: AgentPlace) => ({
  ...environment(place),
  OPENCODE_DISABLE_MODELS_FETCH: '1',
  OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
});

export const PROGRAMS: readonly AgentProgram[] = [
  {
    name: 'claude-code',
    npm: CLAUDE,
    wake(place) {
      const { file, cwd, key, modelUrl } = place;
      const env = { ...environment(place), ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: modelUrl, IS_SANDBOX: '1' };
      return Promise.resolve(['claudeCode', { bin: file, cwd, permissions: 'full', session: 'resume', env }]);
    },
    sessions: '.claude/projects',
    usageOf: 'all',
    tellsUsageEarly: true,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: true,
    idleMs: 15_000,
  },
  {
    name: 'codex',
    npm: CODEX,
    wake(place) {
      const { file, cwd, key, modelUrl } = place;
      const provider = `{name="fake",base_url="${modelUrl}/v1",env_key="CODEX_API_KEY",wire_api="responses",request_max_retries=1,stream_max_retries=1}`;
      const extraArgs = ['-c', 'model_provider="fake"', '-c', `model_providers.fake=${provider}`];
      const env = { ...environment(place), CODEX_API_KEY: key };
      return Promise.resolve(['codex', { bin: file, cwd, model: 'gpt-5.1-codex', permissions: 'full', session: 'resume', extraArgs, env }]);
    },
    sessions: '.codex/sessions',
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [],
    tellsRetries: true,
    idleMs: 15_000,
  },
  {
    name: 'gemini',
    npm: GEMINI,
    async wake(place) {
      const env = await geminiEnvironment(place);
      return ['gemini', { bin: place.file, cwd: place.cwd, model: 'gemini-2.5-flash', permissions: 'full', session: 'resume', env }];
    },
    sessions: '.gemini/tmp',
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [429, 500],
    tellsRetries: true,
    idleMs: 20_000,
  },
  {
    name: 'opencode',
    npm: OPENCODE,
    wake(place) {
      const options = { bin: place.file, cwd: place.cwd, model: `fake/${MODEL}`, permissions: 'full', session: 'resume' };
      return Promise.resolve(['opencode', { ...options, config: opencodeConfig(place), env: opencodeEnvironment(place) }]);
    },
    sessions: '.local/share/opencode',
    usageOf: 'work',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [500],
    tellsRetries: false,
    idleMs: 30_000,
  },
  {
    name: 'openclaw',
    npm: OPENCLAW,
    async wake(place) {
      const { file, cwd, home, key, modelUrl } = place;
      const configFile = join(home, 'openclaw.json');
      const model = { id: MODEL, name: MODEL, contextWindow: 100_000, maxTokens: 8_000 };
      const fake = { baseUrl: `${modelUrl}/v1`, apiKey: key, api: 'openai-completions', models: [model] };
      await writeFile(configFile, JSON.stringify({ models: { mode: 'merge', providers: { fake } } }));
      return ['openclaw', { bin: file, cwd, configFile, model: `fake/${MODEL}`, env: environment(place) }];
    },
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: false,
    triesOnAfter: [429, 500],
    tellsRetries: true,
    idleMs: 120_000,
  },
  {
    name: 'acp-gemini',
    npm: GEMINI,
    async wake(place) {
      const env = await geminiEnvironment(place);
      const options = { agent: 'gemini', bin: place.file, cwd: place.cwd, model: 'gemini-2.5-flash' };
      return ['acp', { ...options, onPermission: 'allow-once', session: 'resume', env }];
    },
    sessions: '.gemini/tmp',
    losesFreshSessions: 'it does not find a session that was begun in the same minute; begins afresh instead',
    notAdoptable: 'it is talked to by pipes, which end with the sidecar',
    usageOf: 'all',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [429, 500],
    tellsRetries: false,
    idleMs: 20_000,
  },
  {
    name: 'acp-opencode',
    npm: OPENCODE,
    wake(place) {
      const env = {
        ...opencodeEnvironment(place),
        OPENCODE_CONFIG_CONTENT: JSON.stringify({ autoupdate: false, ...opencodeConfig(place) }),
      };
      const options = { agent: 'opencode', bin: place.file, cwd: place.cwd, model: `fake/${MODEL}` };
      return Promise.resolve(['acp', { ...options, onPermission: 'allow-once', session: 'resume', env }]);
    },
    sessions: '.local/share/opencode',
    notAdoptable: 'it is talked to by pipes, which end with the sidecar',
    usageOf: 'nothing',
    tellsUsageEarly: false,
    tellsWhetherItWorked: true,
    triesOnAfter: [500],
    tellsRetries: false,
    idleMs: 30_000,
  },
];
