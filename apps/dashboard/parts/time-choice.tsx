/** A choice between a few times, or none. */
import type { JSX } from 'preact';

/** Its words, and milliseconds; undefined: without an end. */
export type TimeChoices = readonly (readonly [word: string, ms: number | undefined])[];

export function TimeChoice({ label, choices, value, onChange }: TimeChoiceProps): JSX.Element {
  return (
    <label>
      {label}
      <select
        value={choices.findIndex(([, ms]) => ms === value)}
        onChange={(event) => onChange(choices[Number(event.currentTarget.value)]?.[1])}
      >
        {choices.map(([word], index) => (
          <option key={word} value={index}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

interface TimeChoiceProps {
  readonly label: string;
  readonly choices: TimeChoices;
  readonly value: number | undefined;
  readonly onChange: (ms: number | undefined) => void;
}
