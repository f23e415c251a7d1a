"""Apps that use the models (ComfyUI, Ollama): which versions are installed and which one is active."""
