import { createRoot } from "react-dom/client";
import { App } from "./view/App";
import { takeSetupSecret } from "./view/setupLink";
import "./style.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<App firstSecret={takeSetupSecret()} />);
