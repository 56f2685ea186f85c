import { computed, effect, signal } from "@preact/signals";

export type ThemeChoice = "system" | "light" | "dark";

const STORAGE_KEY = "streamflow.theme";
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(systemDark.matches);

/** What the viewer asked for; kept in this browser. */
export const themeChoice = signal<ThemeChoice>(storedChoice());

/** What is shown. Read it where a colour is drawn by script. */
export const theme = computed(() => {
  if (themeChoice.value !== "system") return themeChoice.value;
  return isSystemDark.value ? "dark" : "light";
});

/** Apply the choice now and whenever it, or the system's, changes. Call once, before the first paint. */
export function startTheme(): void {
  systemDark.addEventListener("change", () => {
    isSystemDark.value = systemDark.matches;
  });
  effect(() => {
    document.documentElement.dataset["theme"] = themeChoice.value;
    localStorage.setItem(STORAGE_KEY, themeChoice.value);
  });
}

function storedChoice(): ThemeChoice {
  const stored = localStorage.getItem(STORAGE_KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}
