"""What many runs say together: tables, statistics, figures. Reads run directories only."""
