import { themeChoice, type ThemeChoice } from "../theme.ts";
import { Icon, type IconName } from "./icon.tsx";

const CHOICES: readonly { choice: ThemeChoice; icon: IconName; words: string }[] = [
  { choice: "system", icon: "system", words: "As the system" },
  { choice: "light", icon: "sun", words: "Light" },
  { choice: "dark", icon: "moon", words: "Dark" },
];

/** Light, dark, or as the system is. */
export function ThemeToggle() {
  return (
    <fieldset class="theme-toggle">
      <legend class="visually-hidden">Colours</legend>
      {CHOICES.map(({ choice, icon, words }) => (
        <label key={choice} title={words}>
          <input
            type="radio"
            name="theme"
            value={choice}
            checked={themeChoice.value === choice}
            onChange={() => (themeChoice.value = choice)}
          />
          <Icon name={icon} />
          <span class="visually-hidden">{words}</span>
        </label>
      ))}
    </fieldset>
  );
}
