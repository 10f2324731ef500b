"""Artifacts, typed configuration, errors, workspaces: what every other room stands on."""
