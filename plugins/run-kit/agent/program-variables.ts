/**
 * Environment variables of the sidecar that each program always gets: its credentials and the address of its model.
 * Also used over ACP.
 */

export const CLAUDE_VARIABLES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_BASE_URL',
  'CLAUDE_CODE_OAUTH_TOKEN',
  'CLAUDE_CONFIG_DIR',
] as const;

/** The variables that Codex reads from its environment. */
export const CODEX_VARIABLES = ['CODEX_API_KEY', 'OPENAI_API_KEY', 'CODEX_HOME'] as const;

/** The variables that Gemini reads from its environment. */
export const GEMINI_VARIABLES = [
  'GEMINI_API_KEY',
  'GOOGLE_API_KEY',
  'GOOGLE_GEMINI_BASE_URL',
  'GOOGLE_GENAI_USE_VERTEXAI',
  'GOOGLE_GENAI_USE_GCA',
  'GOOGLE_CLOUD_ACCESS_TOKEN',
  'GEMINI_CLI_USE_COMPUTE_ADC',
  'CLOUD_SHELL',
  'GOOGLE_CLOUD_PROJECT',
  'GOOGLE_CLOUD_LOCATION',
  'GOOGLE_APPLICATION_CREDENTIALS',
] as const;
