/** Where each agent program reads its settings, and their contents: pointing it to the fake model, in an unusual way, or with an error. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AgentPlace, Price, WakeOptions } from './real-program.ts';

export const MODEL = 'made-up';
/** Its prices are those built into Claude Code. */
export const CLAUDE_MODEL = 'claude-sonnet-4-5';
export const CODEX_MODEL = 'gpt-5.1-codex';
/** Fake, where the config of a program states it. */
export const PRICE: Price = { input: 1, cached: 0.5, output: 10 };

/** Not valid settings in any of their formats. */
const BROKEN = '{ "permissions": ';

export const environment = ({ home, path }: AgentPlace) => ({ HOME: home, PATH: path, TMPDIR: join(home, 'tmp') });

export async function geminiEnvironment(place: AgentPlace) {
  const { home, key, modelUrl } = place;
  // Without it another address of the model is taken for another login method.
  await write(join(home, GEMINI_SETTINGS), JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } } }));
  return { ...environment(place), GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: modelUrl };
}

export const opencodeConfig = ({ key, modelUrl }: AgentPlace) => ({
  provider: {
    fake: {
      npm: '@ai-sdk/openai-compatible',
      name: 'fake',
      options: { baseURL: `${modelUrl}/v1`, apiKey: key },
      models: {
        [MODEL]: {
          name: MODEL,
          limit: { context: 100_000, output: 8_000 },
          cost: { input: PRICE.input, output: PRICE.output, cache_read: PRICE.cached },
        },
      },
    },
  },
  model: `fake/${MODEL}`,
  small_model: `fake/${MODEL}`,
});

export const opencodeEnvironment = (place: AgentPlace) => ({
  ...environment(place),
  OPENCODE_DISABLE_MODELS_FETCH: '1',
  OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
});

/** `key` null: it has none in its environment. */
export const claudeEnvironment = (place: AgentPlace, key: string | null) => ({
  ...environment(place),
  ...(key === null ? {} : { ANTHROPIC_API_KEY: key }),
  ANTHROPIC_BASE_URL: place.modelUrl,
  ANTHROPIC_MODEL: CLAUDE_MODEL,
  IS_SANDBOX: '1',
});

/** It reads no file that a task names. */
export const claudeWithoutFiles = async (place: AgentPlace): Promise<WakeOptions> => ({
  env: { ...claudeEnvironment(place, place.key), CLAUDE_CODE_DISABLE_ATTACHMENTS: '1' },
});

/** `envKey`: the variable with its key; null: it needs none. */
export const codexConfig = (modelUrl: string, envKey: string | null): string => `model = "${CODEX_MODEL}"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"

[analytics]
enabled = false

[model_providers.fake]
name = "fake"
base_url = "${modelUrl}/v1"
${envKey === null ? '' : `env_key = "${envKey}"\n`}wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
`;

const GEMINI_SETTINGS = '.gemini/settings.json';
const CLAUDE_SETTINGS = '.claude/settings.json';
const CODEX_SETTINGS = '.codex/config.toml';

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

export const writeCodexConfig = ({ home }: AgentPlace, text: string): Promise<void> => write(join(home, CODEX_SETTINGS), text);

const broken =
  (file: string) =>
  async ({ home }: AgentPlace): Promise<WakeOptions> => {
    await write(join(home, file), BROKEN);
    return {};
  };

export const brokenClaudeSettings = broken(CLAUDE_SETTINGS);
export const brokenCodexSettings = broken(CODEX_SETTINGS);
export const brokenGeminiSettings = broken(GEMINI_SETTINGS);
export const brokenOpenclawSettings = broken('openclaw.json');

/** A command prints its key. */
export async function ownClaudeSettings(place: AgentPlace): Promise<WakeOptions> {
  const { key } = place;
  await write(join(place.home, CLAUDE_SETTINGS), JSON.stringify({ apiKeyHelper: `echo ${key}` }));
  return { env: claudeEnvironment(place, null) };
}

/** A provider that needs no key, such as a model on the same machine. */
export async function ownCodexSettings(place: AgentPlace): Promise<WakeOptions> {
  await writeCodexConfig(place, codexConfig(place.modelUrl, null));
  return { extraArgs: [], env: environment(place) };
}

/** With comments, and the key in a file. */
export async function ownGeminiSettings(place: AgentPlace): Promise<WakeOptions> {
  const { GEMINI_API_KEY, ...env } = await geminiEnvironment(place);
  const settings = `/* how it logs in */
{ "security": { "auth": { "selectedType": "gemini-api-key" } } } // by a key`;
  await write(join(place.home, GEMINI_SETTINGS), settings);
  await write(join(place.home, '.gemini/.env'), `GEMINI_API_KEY=${GEMINI_API_KEY}\n`);
  return { env };
}

/** In the folder of the project, with a comment. */
export async function ownOpencodeSettings(place: AgentPlace): Promise<WakeOptions> {
  await write(join(place.cwd, 'opencode.json'), `// its provider\n${JSON.stringify(opencodeConfig(place))}`);
  return { config: {} };
}

export async function brokenOpencodeSettings({ cwd }: AgentPlace): Promise<WakeOptions> {
  await write(join(cwd, 'opencode.json'), BROKEN);
  return {};
}

export async function withGeminiignore({ cwd }: AgentPlace): Promise<WakeOptions> {
  await write(join(cwd, '.geminiignore'), 'secret.txt\n');
  return {};
}

export const openclawConfig = ({ modelUrl, key }: AgentPlace): string => {
  const cost = { input: PRICE.input, output: PRICE.output, cacheRead: PRICE.cached, cacheWrite: 0 };
  const model = { id: MODEL, name: MODEL, contextWindow: 100_000, maxTokens: 8_000, cost };
  const fake = { baseUrl: `${modelUrl}/v1`, apiKey: key, api: 'openai-completions', models: [model] };
  return JSON.stringify({ models: { mode: 'merge', providers: { fake } } });
};

/** With a comment: it reads JSON5. */
export async function ownOpenclawSettings(place: AgentPlace): Promise<WakeOptions> {
  await write(join(place.home, 'openclaw.json'), `// its provider\n${openclawConfig(place)}`);
  return {};
}
